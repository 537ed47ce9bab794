"""Atomic writing of files, and reading of json lists with checks."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError


@contextmanager
def replacing(path: Path, failures: tuple[type[Exception], ...] = (OSError,)) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, and renames it to `path` if the block succeeds.

    Args:
        path: file to write.
        failures: exceptions in the block that become a UserError.

    Raises:
        UserError: the block raised one of `failures`, for example on a full disk; an older file stays untouched.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except failures as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
        raise UserError(f"Cannot write {path} ({reason}): free some space or use another folder.") from error
    finally:
        temporary.unlink(missing_ok=True)


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
