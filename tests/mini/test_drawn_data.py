import multiprocessing
import time

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.drawn_data import drawing_into, require_room


def _hold(folder, log):
    with drawing_into(folder, "Pictures"), open(log, "a", buffering=1) as file:
        file.write("in\n")
        time.sleep(0.2)
        file.write("out\n")


def test_one_process_at_a_time(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_hold, args=(tmp_path / "made" / "here", log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert log.read_text().split() == ["in", "out"] * 3


def _hold_forever(folder, held):
    with drawing_into(folder, "Pictures"):
        held.set()
        time.sleep(60)


def test_the_lock_of_a_killed_process_is_released(tmp_path):
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=_hold_forever, args=(tmp_path, held))
    process.start()
    assert held.wait(30)
    process.kill()
    process.join()
    with drawing_into(tmp_path, "Pictures"):
        pass


def test_a_failure_is_one_sentence_that_names_the_data_set(tmp_path):
    with (
        pytest.raises(UserError, match="Cannot draw Pictures into .*FASHIONFAE_CACHE"),
        drawing_into(tmp_path, "Pictures"),
    ):
        require_room(tmp_path, 1 << 60)
