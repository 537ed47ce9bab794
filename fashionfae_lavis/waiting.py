"""Lets torch's threads sleep instead of spin while they wait for each other, whenever other programs are busy.

On Linux, torch computes with the OpenMP threads of libgomp. A thread that waits spins for some milliseconds before it
sleeps. This is fast on an idle machine. On a busy one, it takes the processor from the threads that it waits for.

While libgomp has more threads than there are processors, it spins for 100 turns only, instead of 300,000
(GOMP_SPINCOUNT in its manual). This module therefore adds idle threads to libgomp while the machine is busy. The number
of threads that compute stays the same, and so do all results.
"""

import atexit
import os
import sys
import threading
import time

import psutil
import torch
from threadpoolctl import threadpool_limits

from fashionfae_lavis.threads import WAITING, processors

SECONDS = 1.0  # between two looks at the machine
SLACK = 0.25  # processors that others may take before they count as busy
LARGE = 1 << 18  # numbers in a tensor that torch divides among its threads


def watch_load() -> None:
    """Starts a thread that has OpenMP's threads sleep while the machine is busy; the end of the program ends it.

    Does nothing where threads do not spin: without libgomp, with a single thread, or if the environment says how they
    wait.
    """
    spins = sys.platform == "linux" and torch.get_num_threads() > 1
    if not spins or any(name in os.environ for name in WAITING):
        return
    end = threading.Event()
    watch = threading.Thread(target=_watch, args=(torch.get_num_threads(), end), name="fashionfae-load", daemon=True)
    watch.start()

    @atexit.register
    def stop() -> None:
        end.set()
        watch.join()


def _watch(threads: int, end: threading.Event) -> None:
    """Holds idle threads, from one look to the next, while others leave fewer than `threads` processors."""
    others, idle = OtherPrograms(), IdleThreads(threads)
    while not end.wait(SECONDS):
        if others.processors() > len(processors()) - threads + SLACK:
            idle.hold()
        else:
            idle.release()
    idle.release()


class OtherPrograms:
    """How many of this process's processors others use. Its own worker processes count as others."""

    def __init__(self) -> None:
        self._last = (time.monotonic(), time.process_time())
        psutil.cpu_percent(percpu=True)

    def processors(self) -> float:
        """Returns the mean number since the last call, including what a virtual machine's host takes."""
        now, own = time.monotonic(), time.process_time()
        percent = dict(enumerate(psutil.cpu_percent(percpu=True)))
        (last, last_own), self._last = self._last, (now, own)
        return sum(percent.get(number, 0.0) for number in processors()) / 100 - (own - last_own) / (now - last)


class IdleThreads:
    """OpenMP threads without work, enough to exceed the number of processors.

    Args:
        threads: the threads that compute.
    """

    def __init__(self, threads: int):
        self._number = len(processors()) - threads + 2
        self._holder: threading.Thread | None = None
        self._released = threading.Event()

    def hold(self) -> None:
        """Starts the threads unless they exist."""
        if self._holder is None:
            self._released.clear()
            self._holder = threading.Thread(target=self._hold, name="fashionfae-idle", daemon=True)
            self._holder.start()

    def release(self) -> None:
        """Ends the threads if they exist."""
        if self._holder is not None:
            self._released.set()
            self._holder.join()
            self._holder = None

    def _hold(self) -> None:
        """Makes a team of OpenMP threads, which lives as long as the thread that made it."""
        numbers = torch.zeros(LARGE)
        numbers.add_(1)  # torch's first computation in a thread would undo the limit
        with threadpool_limits(self._number, user_api="openmp"):
            numbers.add_(1)
            self._released.wait()
