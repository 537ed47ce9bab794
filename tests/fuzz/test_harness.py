"""The harness catches each kind of fault, so that a run without failures means something."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fashionfae_lavis.errors import UserError

from .harness import Case, Enough, Wrong, generator, run_cases
from .watch import SECRET


def outcome_of(call, folder: Path, **limits):
    """Runs one case that calls `call(folder)`."""

    def make(rng, shared, given):
        (given / "input.txt").write_text("input")
        return Case("planted", lambda: call(given))

    module = SimpleNamespace(prepare=lambda shared: None, make=make, __name__="planted")
    (outcome,) = run_cases({"planted": module}, [("planted", 0, 0)], folder, **limits)
    return outcome


def accept(folder):
    Path("written.txt").write_text(Path("input.txt").read_text())


def accept_after_enough(folder):
    raise Enough


def refuse(folder):
    raise UserError("The input is wrong: mend it.")


def refuse_in_a_program(folder):
    print("error: The input is wrong: mend it.", file=sys.stderr)
    sys.exit(2)


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        (accept, "accepted"),
        (accept_after_enough, "accepted"),
        (refuse, "refused"),
        (refuse_in_a_program, "refused"),
    ],
)
def test_cases_that_pass(tmp_path, call, verdict):
    outcome = outcome_of(call, tmp_path)
    assert (outcome.verdict, outcome.faults) == (verdict, {})
    assert not (tmp_path / "planted-0-0").exists(), "only failing inputs are kept"


def trace(folder):
    return {}["key"]


def exit_without_a_sentence(folder):
    sys.exit(1)


class LooseError(UserError):
    """A UserError that does not limit its message."""

    def __init__(self, message):
        Exception.__init__(self, message)


def long_message(folder):
    raise LooseError("x" * 10_000)


def two_lines(folder):
    raise LooseError("first\nsecond")


def trace_of_another_process(folder):
    if not os.fork():
        print("Traceback (most recent call last):\n  ...\nKeyError: 1", file=sys.stderr, flush=True)
        os._exit(1)
    os.wait()


def crash(folder):
    os.kill(os.getpid(), signal.SIGKILL)


def wrong(folder):
    raise Wrong("two and two is five")


def hang(folder):
    time.sleep(60)


def read_a_pipe(folder):
    os.mkfifo("pipe")
    Path("pipe").read_text()


def memory(folder):
    taken = bytearray(300 * 2**20)
    taken[::4096] = b"1" * len(taken[::4096])


def memory_of_a_child(folder):
    if not os.fork():
        memory(folder)
        os._exit(0)
    os.wait()


def much_memory(folder):
    bytearray(2**46)


def program(folder):
    subprocess.run(["true"])


def program_whose_failure_is_hidden(folder):
    with pytest.raises(OSError):
        os.system("true")


def program_that_python_does_not_announce(folder):
    import ctypes

    libc = ctypes.CDLL(None)
    if not os.fork():
        libc.execl(b"/bin/sleep", b"sleep", b"5", None)
    time.sleep(1)


def write_outside(folder):
    Path("../new.txt").write_text("")


def write_by_a_link(folder):
    Path("link").symlink_to("../outside/new.txt")
    Path("link").write_text("")


def remove_outside(folder):
    Path("../outside/password.txt").unlink()


def read_outside(folder):
    Path("../outside/password.txt").read_text()


def read_without_python(folder):
    import h5py

    h5py.is_hdf5("../outside/password.txt")


def write_without_python(folder):
    import h5py

    h5py.h5f.create(b"../outside/new.h5").close()


def print_the_secret(folder):
    print(SECRET)


def copy_the_secret(folder):
    Path("out.txt").write_text(f"title: {SECRET}")


def return_the_secret(folder):
    return [SECRET]


def connect(folder):
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def fail_silently(folder):
    """A fault counts even if the package swallows what the watch raises."""
    try:
        read_outside(folder)
    except Exception as error:
        raise UserError("The file is damaged.") from error


@pytest.mark.parametrize(
    ("fault", "call"),
    [
        ("trace", trace),
        ("trace", exit_without_a_sentence),
        ("trace", long_message),
        ("trace", two_lines),
        ("trace", trace_of_another_process),
        ("trace", crash),
        ("wrong", wrong),
        ("hang", hang),
        ("hang", read_a_pipe),
        ("memory", memory),
        ("memory", memory_of_a_child),
        ("memory", much_memory),
        ("program", program),
        ("program", program_whose_failure_is_hidden),
        ("program", program_that_python_does_not_announce),
        ("outside", write_outside),
        ("outside", write_by_a_link),
        ("outside", remove_outside),
        ("outside", read_outside),
        ("outside", read_without_python),
        ("outside", write_without_python),
        ("outside", print_the_secret),
        ("outside", copy_the_secret),
        ("outside", return_the_secret),
        ("outside", connect),
        ("outside", fail_silently),
    ],
)
def test_faults_that_are_caught(tmp_path, fault, call):
    outcome = outcome_of(call, tmp_path, seconds=2, megabytes=200)
    assert outcome.verdict == "failed" and fault in outcome.faults, outcome
    assert (tmp_path / "planted-0-0" / "given" / "input.txt").read_text() == "input", "failing inputs are kept"
    assert not list(Path(tmp_path).glob("*/new.txt"))


def test_memory_that_the_parent_freed_counts(tmp_path):
    blocks = [bytearray(65536) for _ in range(6400)]  # 400 MB; the last block keeps them in the heap
    last = blocks[-1]
    del blocks
    outcome = outcome_of(memory, tmp_path, seconds=2, megabytes=200)
    assert "memory" in outcome.faults and last, outcome


def test_a_case_does_not_depend_on_others():
    draws = [generator("images", 1, number).random() for number in (0, 1, 0)]
    assert draws[0] == draws[2] != draws[1]
    assert generator("images", 2, 0).random() != draws[0] != generator("tables", 1, 0).random()


def test_cases_cannot_change_each_other(tmp_path):
    state = []

    def make(rng, shared, given):
        return Case("planted", lambda: state.append(1) if not state else 1 / 0)

    module = SimpleNamespace(prepare=lambda shared: None, make=make, __name__="planted")
    outcomes = list(run_cases({"planted": module}, [("planted", 0, number) for number in range(5)], tmp_path))
    assert sorted(outcome.number for outcome in outcomes) == list(range(5))
    assert {outcome.verdict for outcome in outcomes} == {"accepted"}
