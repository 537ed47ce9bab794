"""Atomic writing of files, and reading of json lists with checks."""

import glob
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError

STALE = 24 * 3600  # seconds since the last write, after which a temporary file has lost its writer


@contextmanager
def replacing(path: Path, failures: tuple[type[Exception], ...] = (OSError,)) -> Iterator[Path]:
    """Yields a new temporary file in the folder of `path`, and renames it to `path` if the block succeeds.

    Each call has a temporary file of its own, so that two writers of one file do not mix. Those that killed programs
    left behind are removed after a day.

    Args:
        path: file to write.
        failures: exceptions in the block that become a UserError.

    Raises:
        UserError: the block raised one of `failures`, for example on a full disk; an older file stays untouched.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        remove_temporaries(path.parent, f"{glob.escape(path.name)}.*.tmp", STALE)
    except failures as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
        raise UserError(f"Cannot write {path} ({reason}): free some space or use another folder.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path, pattern: str = "*.tmp", age: float = 0) -> None:
    """Removes temporary files in a folder that were written to at least `age` seconds ago."""
    for path in folder.glob(pattern):
        with suppress(OSError):  # another program may remove it, too
            if time.time() - path.stat().st_mtime >= age:
                path.unlink()


def make_folder(path: Path) -> None:
    """Creates a folder and its parents.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot create the folder {path} ({error.strerror}): use another folder.") from error


def read_json_list(path: Path, what: str) -> list[Any]:
    """Reads a non-empty list from a json file that exists.

    Args:
        path: the file.
        what: description of the list, for the error.

    Raises:
        UserError: the file is damaged, or holds something else or an empty list.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not json, or not text
        raise UserError(f"{path} is damaged ({error}): copy the file again.") from error
    if not isinstance(content, list) or not content:
        found = "an empty list" if isinstance(content, list) else f"a {type(content).__name__}"
        raise UserError(f"{path} holds {found} instead of {what}: use another file.")
    return content
