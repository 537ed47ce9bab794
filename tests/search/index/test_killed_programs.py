import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from threading import Thread

import index_changes
import numpy as np
import pytest
from indexed_shop import directions

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import open_index

PROGRAM = Path(index_changes.__file__)


class Changing:
    """A program that changes an index until it is killed."""

    def __init__(self, location):
        self.step = -1
        self.process = subprocess.Popen([sys.executable, PROGRAM, location], stdout=subprocess.PIPE, text=True)
        self.reader = Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.step = int(line)

    def wait_for(self, step):
        while self.step < step:
            assert self.process.poll() is None
            time.sleep(0.001)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


def rows_of(location):
    """Id -> title of an index, None if there is none."""
    try:
        index = open_index(location)
    except UserError as error:
        assert "holds no index" in str(error)
        return None
    return {hit.id: hit.fields["title"] for hit in index.browse(None, 0, 1000)}


def test_the_changes_do_what_the_tests_expect(location):
    for before, step in pairwise(range(-1, 6)):
        assert rows_of(location) == index_changes.rows_after(before)
        index_changes.make_change(location, step)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_program_leaves_the_index_before_or_after_its_change(location, seed):
    generator = random.Random(seed)
    changing = Changing(location)
    changing.wait_for(generator.choice([0, 1, 2, 3, 4, 5]))
    time.sleep(generator.uniform(0, 0.05))
    changing.kill()
    step = changing.step
    rows = rows_of(location)
    assert rows in (index_changes.rows_after(step - 1), index_changes.rows_after(step)), step
    if rows is not None:
        assert open_index(location).check() == []
    # The next program goes on.
    index_changes.make_change(location, 0)
    assert rows_of(location) == index_changes.rows_after(0)


@pytest.mark.slow
def test_a_reader_sees_whole_changes_only(location):
    changing = Changing(location)
    try:
        changing.wait_for(1)
        index, query = open_index(location), directions(1)[0]
        seen = set()
        for _ in range(15):
            first = changing.step
            rows = {hit.id: hit.fields["title"] for hit in index.browse(None, 0, 1000)}
            last = changing.step
            states = [step for step in range(first - 1, last + 1) if rows == index_changes.rows_after(step)]
            assert states, (first, last)
            seen.update(states)
            hits = index.nearest(query, 400)
            assert len(hits) in {len(index_changes.rows_after(step)) for step in range(len(index_changes.ACTIONS))}
            assert np.all(np.diff([hit.score for hit in hits]) <= 0)
        assert len(seen) > 1
    finally:
        changing.kill()
