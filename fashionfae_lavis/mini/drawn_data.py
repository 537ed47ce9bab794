"""Helpers for drawing FashionGen-Mini and FashionIQ-Mini: a lock, a check of free space, and a progress bar."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import remove_temporaries
from fashionfae_lavis.workers import progress_bar


@contextmanager
def drawing_into(folder: Path, name: str) -> Iterator[None]:
    """Creates the folder and holds its lock while the block runs; other processes wait.

    A process that had to wait must check whether the data now exists. The lock of a killed process is released.

    Args:
        folder: the folder to draw into.
        name: the dataset, for the message.

    Raises:
        UserError: the folder cannot be written to, or has too little free space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            remove_temporaries(folder)  # of a killed process
            yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise UserError(
            f"Cannot draw {name} into {folder} ({reason}): free some space there, or set FASHIONFAE_CACHE to another "
            "folder."
        ) from error


def require_room(folder: Path, wanted: int) -> None:
    """Raises OSError if fewer than `wanted` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise OSError(f"it needs {wanted >> 20} MB, but {free >> 20} MB are free")


def drawing_bar(total: int, name: str) -> tqdm:
    """Makes a progress bar over `total` images."""
    return progress_bar(total, f"drawing {name}", "image")
