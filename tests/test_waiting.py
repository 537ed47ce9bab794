"""Threads that spin on an idle machine and sleep on a busy one."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

import fashionfae_lavis
from fashionfae_lavis import threads, waiting

ROOT = Path(fashionfae_lavis.__file__).parents[1]


def openmp_threads():
    return psutil.Process().num_threads() - threading.active_count()


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def run_python(code):
    clean = {name: value for name, value in os.environ.items() if name not in threads.WAITING}
    environment = {**clean, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def two_processors(monkeypatch):
    monkeypatch.setattr(waiting, "processors", lambda: {0, 1})


def test_idle_threads_exceed_the_processors_until_they_are_released(two_processors):
    before = openmp_threads()
    idle = waiting.IdleThreads(2)
    for _ in range(2):
        idle.hold()
        idle.hold()  # changes nothing
        wait_until(lambda: openmp_threads() == before + 1)  # with the two that compute: three for two processors
        idle.release()
        idle.release()
        wait_until(lambda: openmp_threads() == before)


def test_other_threads_keep_their_number_while_idle_threads_exist(two_processors):
    before = torch.get_num_threads()
    idle = waiting.IdleThreads(1)
    idle.hold()
    found = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join()
    idle.release()
    assert [torch.get_num_threads(), *found] == [before, before]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="libgomp")
def test_waiting_threads_sleep_while_idle_threads_exist():
    code = """
import time, torch
from fashionfae_lavis.threads import processors
from fashionfae_lavis.waiting import IdleThreads

def work():
    start, square, results = time.process_time(), torch.ones(300, 300).cumsum(0).sqrt(), []
    for _ in range(200):
        results.append(square @ square)
        time.sleep(0.002)  # a thread that spins would do so for this long
    return time.process_time() - start, torch.stack(results)

torch.set_num_threads(len(processors()))
idle = IdleThreads(len(processors()))
work()
spinning, first = work()
idle.hold()
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
    if len(threads.processors()) > 1:
        assert max(shares) < 0.75, shares  # of the processor time


def test_others_are_what_the_processors_do_beyond_this_program(two_processors, monkeypatch):
    percents = iter([[0.0] * 4, [100.0, 90.0, 50.0, 50.0], [100.0, 100.0, 0.0, 0.0]])
    monkeypatch.setattr(waiting.psutil, "cpu_percent", lambda percpu: next(percents))
    now, own = iter([10.0, 12.0, 13.0]), iter([3.0, 4.0, 6.0])
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(waiting.time, "process_time", lambda: next(own))
    others = waiting.OtherPrograms()
    assert others.processors() == pytest.approx(1.9 - 0.5)
    assert others.processors() == pytest.approx(2.0 - 2.0)


def test_others_are_found_where_a_processor_is_offline(monkeypatch):
    monkeypatch.setattr(waiting, "processors", lambda: {0, 7})
    assert waiting.OtherPrograms().processors() <= 1.01


@pytest.mark.parametrize(("others", "busy"), [(0.2, False), (0.3, True), (2.0, True)])
def test_idle_threads_are_held_while_others_leave_too_few_processors(two_processors, monkeypatch, others, busy):
    monkeypatch.setattr(waiting, "SECONDS", 0.01)
    load = iter([others] * 3)
    seen, end = [], threading.Event()

    class Others:
        def processors(self):
            return next(load, 0.0)

    class Idle:
        def __init__(self, threads):
            assert threads == 2

        def hold(self):
            seen.append(True)

        def release(self):
            seen.append(False)
            if len(seen) > 3:
                end.set()

    monkeypatch.setattr(waiting, "OtherPrograms", Others)
    monkeypatch.setattr(waiting, "IdleThreads", Idle)
    waiting._watch(2, end)
    assert seen[:3] == [busy] * 3
    assert not seen[-1]


WATCHED = """
import threading, torch
from fashionfae_lavis import waiting
torch.ones(300, 300) @ torch.ones(300, 300)
waiting.SECONDS = 0.01
waiting.OtherPrograms.processors = lambda self: 1e9
waiting.watch_load()
names = {thread.name for thread in threading.enumerate()}
if "fashionfae-load" in names:
    while "fashionfae-idle" not in names:
        names = {thread.name for thread in threading.enumerate()}
print("fashionfae-load" in names)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="libgomp")
def test_a_program_that_watches_the_load_ends_cleanly():
    done = run_python(WATCHED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize(
    ("count", "platform", "settings"),
    [
        (1, "linux", {}),
        (2, "darwin", {}),
        (2, "linux", {"OMP_WAIT_POLICY": "passive"}),
        (2, "linux", {"GOMP_SPINCOUNT": "77"}),
    ],
)
def test_load_is_not_watched_where_threads_do_not_spin(monkeypatch, count, platform, settings):
    for name in threads.WAITING:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch, "get_num_threads", lambda: count)
    monkeypatch.setattr(sys, "platform", platform)
    waiting.watch_load()
    assert "fashionfae-load" not in {thread.name for thread in threading.enumerate()}
