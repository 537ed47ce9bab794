import os
import subprocess
import sys

import pytest

from fashionfae_lavis.compare.locks import COMPARISON, PROGRAM, hold
from fashionfae_lavis.errors import UserError

# Holds a lock until its standard input ends.
HOLDER = (
    "import sys; from pathlib import Path; from fashionfae_lavis.compare.locks import hold\n"
    "with hold(Path(sys.argv[1]), sys.argv[2]): print('held', flush=True); sys.stdin.read()"
)


def start_holder(folder, name):
    command = [sys.executable, "-c", HOLDER, str(folder), name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_one_process_holds_a_lock_and_the_others_learn_which(tmp_path):
    with start_holder(tmp_path / "new", PROGRAM) as process:
        message = rf"running in .*new \(process {process.pid}\): wait for it, stop it, or choose another folder"
        with pytest.raises(UserError, match=message), hold(tmp_path / "new", PROGRAM):
            pass
        with hold(tmp_path / "new", COMPARISON):
            assert (tmp_path / "new" / ".lock.pid").read_text() == f"{os.getpid()}\n"
        process.stdin.close()
        assert process.wait() == 0
    with hold(tmp_path / "new", PROGRAM):
        pass
    assert not list((tmp_path / "new").glob("*.pid"))


def test_a_killed_process_holds_nothing(tmp_path):
    with start_holder(tmp_path, PROGRAM) as process:
        process.kill()
        process.wait()
        with hold(tmp_path, PROGRAM):
            pass


def test_an_error_in_the_block_frees_the_lock(tmp_path):
    with pytest.raises(KeyError), hold(tmp_path, COMPARISON):
        raise KeyError
    with hold(tmp_path, COMPARISON):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = "Cannot write to .*file.below .*choose another folder with --output"
    with pytest.raises(UserError, match=message), hold(tmp_path / "file" / "below", COMPARISON):
        pass
