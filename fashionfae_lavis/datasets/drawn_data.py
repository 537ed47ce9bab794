"""What data sets that we draw on this machine have in common: one process draws, with workers, and only once."""

import fcntl
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tqdm import tqdm

from fashionfae_lavis.errors import UserError


@contextmanager
def drawing_into(folder: Path, name: str) -> Iterator[None]:
    """Makes the folder and holds its lock: of processes that come at the same time one works and the others wait.

    Whoever has waited must look whether the data are there by now. Raises UserError, which names the data set, when
    the folder cannot be written or has too little room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # free again when its holder is killed
            yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise UserError(
            f"cannot draw {name} into {folder} ({reason}): make room there or set FASHIONFAE_CACHE to another folder"
        ) from error


def require_room(folder: Path, wanted: int) -> None:
    """Raises OSError where fewer than `wanted` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise OSError(f"it takes {wanted >> 20} MB and {free >> 20} MB are free")


def drawing_bar(total: int, name: str) -> tqdm:
    """A progress bar over images."""
    interval = 0.1 if sys.stderr.isatty() else 10  # seconds; a log file is not a terminal
    return tqdm(total=total, desc=f"drawing {name}", unit="image", mininterval=interval)


def in_workers(work: Callable, items: list, processes: int | None = None) -> Iterator:
    """`work(item)` of each item, in order; worker i does every `processes`-th one from the i-th (default: 8 or fewer).

    One pipe for each worker rather than a pool: a full pipe makes a worker wait, and a worker whose reader
    was killed ends with it. Raises OSError when a worker has died.
    """
    processes = processes or min(8, os.cpu_count() or 1)
    # Workers use neither threads nor torch, so a fork is safe, and it spares them the imports of the caller.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    workers, receivers = [], []
    try:
        for i in range(processes):
            receiver, sender = context.Pipe(duplex=False)
            receivers.append(receiver)
            workers.append(
                context.Process(target=_work, args=(work, items[i::processes], sender, receivers), daemon=True)
            )
            workers[-1].start()
            sender.close()
        for index in range(len(items)):
            try:
                result = receivers[index % processes].recv()
            except EOFError as error:
                raise OSError("drawing was stopped") from error
            yield result
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(work: Callable, items: list, sender: Connection, receivers: list[Connection]) -> None:
    for receiver in receivers:  # a copy that stayed open here would hide that the reader is gone
        receiver.close()
    try:
        for item in items:
            sender.send(work(item))
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # nobody wants the results any more
