"""Locks that keep two programs from working in one folder at the same time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fashionfae_lavis.errors import UserError


@contextmanager
def hold(folder: Path, name: str, busy: str, other: str, patience: float = 0) -> Iterator[None]:
    """Creates the folder and holds one of its locks until the block ends or this process dies.

    The operating system releases the lock of a process that was killed. A file next to the lock names this process,
    because a locked file cannot be read on some platforms.

    Args:
        folder: the folder.
        name: file name of the lock.
        busy: what happens in a locked folder, for the error, such as "Another comparison is running".
        other: how to choose another folder, for the error.
        patience: seconds to wait for the lock. The worker processes of a killed program hold it until they end, too.

    Raises:
        UserError: another process holds the lock, or the folder cannot be written to.
    """
    holder = folder / f"{name}.pid"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / name).acquire(timeout=patience)
    except Timeout as error:
        process = "unknown"
        with suppress(OSError):
            process = holder.read_text().strip()
        raise UserError(f"{busy} in {folder} (process {process}): wait for it, stop it, or {other}.") from error
    except OSError as error:
        raise UserError(f"Cannot write to {folder} ({error.strerror}): {other}.") from error
    with held:
        try:
            with suppress(OSError):  # only the message needs it
                holder.write_text(f"{os.getpid()}\n")
            yield
        finally:
            with suppress(OSError):
                holder.unlink(missing_ok=True)
