"""Work that is shared out between processes, and a bar that shows how far it has come."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection

from tqdm import tqdm

WAITING = 2  # items that a worker has at a time: one in hand and one at the door


class WorkerDied(OSError):
    """A worker process ended before its work was done."""


def progress_bar(total: int | None, description: str, unit: str) -> tqdm:
    interval = 0.1 if sys.stderr.isatty() else 10  # seconds; a log file is not a terminal
    return tqdm(total=total, desc=description, unit=unit, mininterval=interval)


def all_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_workers(work: Callable, items: Iterable, processes: int | None = None) -> Iterator:
    """`work(item)` of each item, in order; worker i does every `processes`-th one from the i-th (default: 8 or fewer).

    The items are taken as they are needed, `WAITING` for each worker, so that neither they nor the results pile up.
    They should be small: what is large should be made by the worker. One pipe for each worker rather than a pool: a
    full pipe makes a worker wait, and a worker whose reader was killed ends with it. Raises WorkerDied.
    """
    processes = processes or min(8, os.cpu_count() or 1)
    # Workers use neither threads nor torch, so a fork is safe, and it spares them the imports of the caller.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    workers, connections, busy = [], [], deque()
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
        raise WorkerDied("a worker process has died") from error
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(work: Callable, connection: Connection, others: list[Connection]) -> None:
    for other in others:  # a copy that stayed open here would hide that the reader is gone
        other.close()
    try:
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass  # nobody wants the results any more
