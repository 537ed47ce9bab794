"""Worker processes for a list of work items, and a progress bar."""

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection
from typing import Any

from tqdm import tqdm

from fashionfae_lavis.threads import all_cores

WAITING = 2  # items per worker: one in progress, one in the pipe


class WorkerDied(OSError):
    """Error raised when a worker process ends before its work is done."""


def progress_bar(total: int | None, description: str, unit: str) -> tqdm:
    """Makes a progress bar; `total` is None where it is unknown."""
    interval = 0.1 if sys.stderr.isatty() else 10  # seconds; log files get fewer lines
    return tqdm(total=total, desc=description, unit=f" {unit}", mininterval=interval)


def in_workers(
    work: Callable[[Any], Any], items: Iterable[Any], processes: int | None = None
) -> Generator[Any, None, None]:
    """Yields `work(item)` for each item, in order; item i goes to worker i modulo `processes`.

    Items are read when needed, `WAITING` per worker, so that neither items nor results accumulate. Items should be
    small; a worker should create large data itself. Each worker has a separate pipe instead of sharing a pool: a full
    pipe makes the worker wait, and a worker ends when its reader is killed.

    Args:
        work: a function that can be pickled.
        items: the arguments of `work`.
        processes: number of workers (default: one per processor, up to 8).

    Raises:
        WorkerDied: a worker ended early.
    """
    processes = processes or min(8, all_cores())
    # Workers use neither threads nor torch, so forking is safe. It avoids importing the caller's modules again.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    workers: list[multiprocessing.Process] = []
    connections: list[Connection] = []
    busy: deque[Connection] = deque()
    try:
        for _ in range(processes):
            here, there = context.Pipe()
            connections.append(here)
            workers.append(context.Process(target=_work, args=(work, there, connections), daemon=True))
            workers[-1].start()
            there.close()
        for index, item in enumerate(items):
            done = [busy.popleft().recv()] if len(busy) == WAITING * processes else []
            connection = connections[index % processes]
            connection.send(item)
            busy.append(connection)
            yield from done
        while busy:
            yield busy.popleft().recv()
    except (EOFError, ConnectionError) as error:
        raise WorkerDied("a worker process died") from error
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(work: Callable, connection: Connection, others: list[Connection]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the parent's handler, which might survive it
    for other in others:  # otherwise the other workers would not notice that the reader has ended
        other.close()
    try:
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass  # the reader has ended
