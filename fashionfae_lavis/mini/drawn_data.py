"""What data sets that we draw on this machine have in common: one process draws, and only once."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.workers import progress_bar


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
    return progress_bar(total, f"drawing {name}", "image")
