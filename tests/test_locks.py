import subprocess
import sys

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.locks import hold

HOLDER = """
import os, sys, time
from pathlib import Path
from fashionfae_lavis.locks import hold
with hold(Path(sys.argv[1]), ".lock", "A run", "wait"):
    if os.fork() == 0:  # as the workers of a loader, which outlive a killed parent for seconds
        time.sleep(60)
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free_even_if_its_workers_live(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    process = holder.stdout.readline().strip()
    busy = f"A run is still going in {tmp_path} .process {process}.: wait for it, stop it, or use another"
    with pytest.raises(UserError, match=busy), hold(tmp_path, ".lock", "A run is still going", "use another"):
        pass
    children = subprocess.run(["pgrep", "-P", process], capture_output=True, text=True).stdout.split()
    holder.kill()
    holder.wait()
    try:
        with hold(tmp_path, ".lock", "A run is still going", "use another"):
            assert (tmp_path / ".lock.pid").exists()
        assert not (tmp_path / ".lock.pid").exists()
    finally:
        subprocess.run(["kill", "-9", *children], check=True)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=f"Cannot write to {tmp_path}/file/a .*: use another"),
        hold(tmp_path / "file" / "a", ".lock", "A run is still going", "use another"),
    ):
        pass
