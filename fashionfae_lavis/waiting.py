"""Lets torch's threads sleep instead of spin while they wait for each other, whenever other programs are busy.

With torch's wheels for Linux, the threads are those of the OpenMP library libgomp. A thread that waits spins for some
milliseconds before it sleeps. This is fast on an idle machine. On a busy one, it takes the processor from the threads
that it waits for.

While libgomp has more threads than there are processors, it spins for 100 turns only, instead of 300,000
(GOMP_SPINCOUNT in its manual). This module therefore adds idle threads to libgomp while the machine is busy. The number
of threads that compute stays the same, and so do all results.
"""

import atexit
import ctypes
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from fashionfae_lavis.threads import BINDING, WAITING, cpu_limit, processors

SECONDS = 1.0  # between two looks at the machine
SLACK = 0.25  # processors that others may take from the threads before these sleep
TORCH = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"


def watch_load() -> None:
    """Starts a thread that has OpenMP's threads sleep while the machine is busy; the end of the program ends it.

    Does nothing where torch does not use libgomp, with a single processor, or if the environment says how threads wait
    or where they run.
    """
    library = _libgomp()
    if library is None or len(processors()) == 1 or any(name in os.environ for name in (*WAITING, *BINDING)):
        return
    end = threading.Event()
    watch = threading.Thread(target=_watch, args=(library, end), name="fashionfae-load", daemon=True)
    watch.start()
    owner = os.getpid()

    @atexit.register
    def stop() -> None:
        if os.getpid() == owner:  # a fork has no such thread
            end.set()
            watch.join()


def _libgomp() -> ctypes.CDLL | None:
    """Returns a library whose symbols include those of the libgomp that torch uses, None if it uses another OpenMP."""
    try:
        library = ctypes.CDLL(str(TORCH), mode=getattr(os, "RTLD_NOLOAD", 0))
    except OSError:
        return None
    # LLVM's and Intel's libraries imitate libgomp's functions.
    return library if hasattr(library, "GOMP_parallel") and not hasattr(library, "kmp_set_blocktime") else None


def _watch(library: ctypes.CDLL, end: threading.Event) -> None:
    """Holds idle threads, from one look to the next, while others leave too few processors to those that compute."""
    idle, limited = IdleThreads(library), cpu_limit() < len(processors())
    try:
        others = OtherPrograms()
        while not end.wait(SECONDS):
            threads = _computing_threads()
            # Where a container has a CPU limit, threads that spin would use it up.
            if threads > 1 and (limited or others.processors() > len(processors()) - threads + SLACK):
                idle.hold(threads)
            else:
                idle.release()
    except (OSError, ValueError, RuntimeError) as error:  # no statistics, or no further thread
        logging.debug("The load is not watched: %s", error)
    finally:
        idle.release()


def _computing_threads() -> int:
    """Returns torch's present number of threads, which a thread asks for once in its life."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


class OtherPrograms:
    """How many of this process's processors others use. Its own worker processes count as others.

    Args:
        statistics: the kernel's times of each processor.
    """

    def __init__(self, statistics: Path = Path("/proc/stat")):
        self._statistics = statistics
        self._last = self._read()

    def processors(self) -> float:
        """Returns the mean number since the last call, including what a virtual machine's host takes."""
        last, self._last = self._last, self._read()
        clock, own, busy = (after - before for before, after in zip(last, self._last, strict=True))
        return (busy - own) / clock

    def _read(self) -> tuple[float, float, float]:
        """Returns three times in seconds: the clock's, this process's, and the busy time of its processors."""
        busy = {}
        for line in self._statistics.read_text().splitlines():
            name, *times = line.split()
            if name.startswith("cpu") and name != "cpu":
                user, nice, system, _, _, *interrupts_and_host = map(int, times[:8])
                busy[int(name[3:])] = user + nice + system + sum(interrupts_and_host)
        own = processors() if processors() <= busy.keys() else busy  # some containers renumber them
        ticks = sum(busy[number] for number in own)
        return time.monotonic(), time.process_time(), ticks / os.sysconf("SC_CLK_TCK")


class IdleThreads:
    """OpenMP threads without work, enough to exceed the number of processors.

    Args:
        library: libgomp.
    """

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        self._processors = library.omp_get_num_procs()
        self._threads = 0
        self._holder: threading.Thread | None = None
        self._released = threading.Event()

    def hold(self, threads: int) -> None:
        """Starts the idle threads that exceed the processors together with `threads` that compute."""
        if self._holder is not None and self._threads != threads:
            self.release()
        if self._holder is None:
            self._threads = threads
            self._released.clear()
            holder = threading.Thread(target=self._hold, name="fashionfae-idle", daemon=True)
            holder.start()
            self._holder = holder

    def release(self) -> None:
        """Ends the idle threads, if there are any."""
        if self._holder is not None:
            self._released.set()
            self._holder.join()
            self._holder = None

    def _hold(self) -> None:
        """Makes a team of OpenMP threads, which lives as long as the thread that made it."""
        team = max(2, self._processors - self._threads + 2)  # with this thread
        nothing = ctypes.cast(self._library.omp_get_thread_num, ctypes.c_void_p)  # what each of them runs
        self._library.GOMP_parallel(nothing, None, ctypes.c_uint(team), ctypes.c_uint(0))
        self._released.wait()
