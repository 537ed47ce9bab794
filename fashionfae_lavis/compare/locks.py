"""Locks that keep two comparisons, or the programs they run, from working in one folder at the same time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fashionfae_lavis.errors import UserError

# A comparison holds one lock, and the program that it runs holds the other, which outlives a killed comparison.
COMPARISON, PROGRAM = ".lock", ".program.lock"


@contextmanager
def hold(folder: Path, name: str) -> Iterator[None]:
    """Creates the folder and holds one of its locks until the block ends or this process dies.

    A file next to the lock names this process, because a locked file cannot be read on some platforms.

    Raises:
        UserError: another process holds the lock, or the folder cannot be written to.
    """
    holder = folder / f"{name}.pid"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / name).acquire(blocking=False)
    except Timeout as error:
        process = "unknown"
        with suppress(OSError):
            process = holder.read_text().strip()
        raise UserError(
            f"Another comparison is running in {folder} (process {process}): wait for it, stop it, or choose another "
            "folder with --output."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot write to {folder} ({error.strerror}): choose another folder with --output.") from error
    with held:
        try:
            holder.write_text(f"{os.getpid()}\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
