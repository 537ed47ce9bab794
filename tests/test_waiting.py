"""Threads that spin on an idle machine and sleep on a busy one."""

import os
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest
import torch

import fashionfae_lavis
from fashionfae_lavis import threads, waiting

LIBRARY = waiting._libgomp()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="torch does not use libgomp")
ROOT = Path(fashionfae_lavis.__file__).parents[1]


def openmp_threads():
    return len(os.listdir("/proc/self/task")) - threading.active_count()


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def run_python(code):
    clean = {name: value for name, value in os.environ.items() if name not in (*threads.WAITING, *threads.BINDING)}
    environment = {**clean, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def idle():
    """Idle threads on a machine with four processors."""
    library = types.SimpleNamespace(
        omp_get_num_procs=lambda: 4,
        omp_get_thread_num=LIBRARY.omp_get_thread_num,
        GOMP_parallel=LIBRARY.GOMP_parallel,
    )
    idle = waiting.IdleThreads(library)
    yield idle
    idle.release()


def test_idle_threads_exceed_the_processors_until_they_are_released(idle):
    before = openmp_threads()
    for _ in range(2):
        for computing, expected in ((4, 1), (4, 1), (2, 3)):  # more than four together
            idle.hold(computing)
            wait_until(lambda: openmp_threads() == before + expected)  # noqa: B023
        idle.release()
        idle.release()
        wait_until(lambda: openmp_threads() == before)


def test_other_threads_keep_their_number_while_idle_threads_exist(idle):
    before = openmp_threads()
    torch_before = torch.get_num_threads()
    idle.hold(2)
    wait_until(lambda: openmp_threads() == before + 3)
    assert [torch.get_num_threads(), waiting._computing_threads()] == [torch_before] * 2


def test_a_later_number_of_threads_is_seen():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        assert waiting._computing_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.skipif(len(threads.processors()) == 1, reason="one thread never waits")
def test_waiting_threads_sleep_while_idle_threads_exist():
    code = """
import time, torch
from fashionfae_lavis.threads import processors
from fashionfae_lavis.waiting import IdleThreads, _libgomp

def work():
    start, square, results = time.process_time(), torch.ones(300, 300).cumsum(0).sqrt(), []
    for _ in range(200):
        results.append(square @ square)
        time.sleep(0.002)  # a thread that spins would do so for this long
    return time.process_time() - start, torch.stack(results)

torch.set_num_threads(len(processors()))
idle = IdleThreads(_libgomp())
work()
spinning, first = work()
idle.hold(len(processors()))
time.sleep(0.5)
asleep, second = work()
idle.release()
spinning_again, third = work()
assert first.equal(second) and first.equal(third)
print(asleep / spinning, asleep / spinning_again)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    shares = [float(share) for share in done.stdout.split()]
    assert min(shares) < 0.75, shares  # of the processor time


def statistics(folder, busy):
    """A /proc/stat with these busy and 900 idle hundredths of a second of each processor."""
    lines = [f"cpu{number} {ticks - 3} 0 1 800 100 1 1 0 0 0" for number, ticks in busy.items()]
    (folder / "stat").write_text("\n".join(["cpu 1 2 3 4 5 6 7 8 9 10", *lines, "intr 5 0 9", "ctxt 7"]) + "\n")


@pytest.mark.parametrize(
    ("own", "before", "after", "busy"),
    [
        ({0, 1}, {0: 50, 1: 60, 2: 70}, {0: 250, 1: 200, 2: 170}, 3.4),
        ({0, 4}, {0: 50, 2: 60, 4: 70}, {0: 150, 2: 260, 4: 90}, 1.2),  # 1 and 3 are offline
        ({4, 6}, {0: 50, 1: 60}, {0: 150, 1: 100}, 1.4),  # a container that renumbers its processors
    ],
)
def test_others_are_what_the_processors_do_beyond_this_program(tmp_path, monkeypatch, own, before, after, busy):
    clock = types.SimpleNamespace(monotonic=iter([10.0, 12.0]).__next__, process_time=iter([3.0, 3.5]).__next__)
    monkeypatch.setattr(waiting, "processors", lambda: own)
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(waiting.os, "sysconf", lambda name: 100)
    statistics(tmp_path, before)
    others = waiting.OtherPrograms(tmp_path / "stat")
    statistics(tmp_path, after)
    assert others.processors() == pytest.approx((busy - 0.5) / 2)


def test_this_machine_has_statistics():
    others = waiting.OtherPrograms()
    time.sleep(0.1)
    assert -2 < others.processors() < len(threads.processors()) + 2


class Idle:
    """Records what `_watch` does, and ends it after three looks."""

    def __init__(self, end):
        self.seen, self.end = [], end

    def hold(self, threads):
        self._record(threads)

    def release(self):
        self._record(None)

    def _record(self, held):
        self.seen.append(held)
        if len(self.seen) == 3:
            self.end.set()


@pytest.mark.parametrize(
    ("computing", "others", "limit", "held"),
    [(2, 0.2, 4, None), (2, 0.3, 4, 2), (2, 2.0, 4, 2), (1, 2.0, 4, None), (2, 0.0, 1.5, 2)],
)
def test_idle_threads_are_held_while_too_few_processors_are_left(monkeypatch, computing, others, limit, held):
    end = threading.Event()
    idle = Idle(end)
    monkeypatch.setattr(waiting, "SECONDS", 0.001)
    monkeypatch.setattr(waiting, "processors", lambda: {0, 1})
    monkeypatch.setattr(waiting, "cpu_limit", lambda: limit)
    monkeypatch.setattr(waiting, "_computing_threads", lambda: computing)
    monkeypatch.setattr(waiting, "OtherPrograms", lambda: types.SimpleNamespace(processors=lambda: others))
    monkeypatch.setattr(waiting, "IdleThreads", lambda library: idle)
    waiting._watch(LIBRARY, end)
    assert idle.seen == [held] * 3 + [None]


def test_without_statistics_threads_are_released_and_nothing_is_said(monkeypatch, capfd):
    def missing():
        raise FileNotFoundError("/proc/stat")

    idle = Idle(threading.Event())
    monkeypatch.setattr(waiting, "OtherPrograms", missing)
    monkeypatch.setattr(waiting, "IdleThreads", lambda library: idle)
    waiting._watch(LIBRARY, idle.end)
    assert idle.seen == [None] and capfd.readouterr() == ("", "")


WATCHED = """
import importlib, os, sys, threading, torch
from fashionfae_lavis import waiting
torch.set_num_threads(2)
torch.ones(300, 300) @ torch.ones(300, 300)
waiting.SECONDS = 0.001
waiting.processors = lambda: {0, 1}
loads = iter([1e9, 0] * 10**6)
waiting.OtherPrograms.processors = lambda self: next(loads)
waiting.watch_load()
# Imports lock the dynamic linker, and so may the start of a thread.
for name in ("pandas", "matplotlib.pyplot", "scipy.stats"):
    importlib.import_module(name)
if os.fork() == 0:
    sys.exit()  # a child ends without the thread
assert os.wait()[1] == 0
print("fashionfae-load" in {thread.name for thread in threading.enumerate()})
"""


@pytest.mark.slow
def test_a_program_that_watches_the_load_imports_forks_and_ends():
    done = run_python(WATCHED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("setting", [None, *threads.WAITING, *threads.BINDING, "one processor", "another OpenMP"])
def test_load_is_watched_unless_threads_do_not_spin(monkeypatch, setting):
    for name in (*threads.WAITING, *threads.BINDING):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(waiting, "processors", lambda: {0} if setting == "one processor" else {0, 1})
    if setting == "another OpenMP":
        monkeypatch.setattr(waiting, "_libgomp", lambda: None)
    elif setting and setting.isupper():
        monkeypatch.setenv(setting, "5")
    started = []
    thread = types.SimpleNamespace(start=lambda: started.append(setting))
    monkeypatch.setattr(waiting.threading, "Thread", lambda **arguments: thread)
    monkeypatch.setattr(waiting.atexit, "register", lambda function: function)
    waiting.watch_load()
    assert len(started) == (setting is None)


def test_a_library_that_imitates_libgomp_is_not_taken_for_it(monkeypatch):
    for symbols in ({"GOMP_parallel": 1, "kmp_set_blocktime": 1}, {}):
        monkeypatch.setattr(waiting.ctypes, "CDLL", lambda *args, **of: types.SimpleNamespace(**symbols))  # noqa: B023
        assert waiting._libgomp() is None
