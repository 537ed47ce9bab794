"""Atomic writing of files, and reading of untrusted ones: regular files, and json that fits a type."""

import errno
import glob
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from fashionfae_lavis.errors import UserError

Kind = TypeVar("Kind")
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
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


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a file for reading bytes, regular files only, and so never waits for a FIFO.

    Raises:
        OSError: the path is missing, unreadable, or a folder, FIFO, socket or device.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))


def read_json(path: Path, kind: TypeAdapter[Kind], mend: str) -> Kind:
    """Reads a json file that somebody may have edited by hand.

    Args:
        path: the file.
        kind: the type of its content; nothing is converted.
        mend: advice for an unusable file.

    Raises:
        UserError: the file cannot be read, is not json, or holds something else.
    """
    try:
        with open_regular(path) as file:
            return kind.validate_json(file.read(), strict=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {mend}.") from error
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({first_problem(error)}): {mend}.") from error


def first_problem(error: ValidationError) -> str:
    """Returns the first problem that pydantic found, as `key.index: problem`."""
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def read_json_list(path: Path, what: str) -> list[Any]:
    """Reads a non-empty list from a json file that exists.

    Args:
        path: the file.
        what: description of the list, for the error.

    Raises:
        UserError: the file cannot be read, is damaged, or holds something else or an empty list.
    """
    content = read_json(path, TypeAdapter(Any), "copy the file again")
    if not isinstance(content, list) or not content:
        found = "an empty list" if isinstance(content, list) else f"a {type(content).__name__}"
        raise UserError(f"{path} holds {found} instead of {what}: use another file.")
    return content
