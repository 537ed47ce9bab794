"""Files that appear under their name only when they are whole, and files of others that may not be."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashionfae_lavis.errors import UserError


@contextmanager
def replacing(path: Path, failures: tuple[type[Exception], ...] = (OSError,)) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, else remove it.

    Raises:
        UserError: one of `failures` was raised, such as a full disk; a file that was at ``path`` is still there.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except failures as error:
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else str(error).splitlines()[0]
        raise UserError(f"Cannot write {path} ({reason}): free some space or use another folder.") from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """The folder with all above it; UserError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {path} ({error.strerror}): use another one.") from error


def read_json_list(path: Path, what: str) -> list:
    """The list in a json file that is there; UserError where it holds none of `what`, or is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not json, or not text
        raise UserError(f"{path} is damaged ({error}): copy the file again") from error
    if not isinstance(content, list) or not content:
        kind = "an empty list" if isinstance(content, list) else f"a {type(content).__name__}"
        raise UserError(f"{path} holds {kind} instead of {what}")
    return content
