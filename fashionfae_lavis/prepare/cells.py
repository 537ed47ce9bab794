"""Rows of a table, and their cells as text."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from fashionfae_lavis.errors import UserError

LONGEST_TEXT = 100_000  # characters of a cell that is used
# Spellings of a missing value, as databases, spreadsheets, pandas and R write them; compared in lower case.
MISSING = frozenset(
    {"nan", "-nan", "na", "<na>", "n/a", "n.a.", "n.a", "null", "(null)", "\\n", "#n/a", "#na"}
    | {"#null!", "#value!", "#ref!", "#div/0!", "#name?", "#num!", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)
# These are missing in this spelling only, because a pattern may be `none`.
MISSING_AS_WRITTEN = frozenset({"None", "NaT"})
PLACEHOLDERS = "-\u2013\u2014?._*/ "  # a cell of nothing but these is missing


class CellError(ValueError):
    """Error of a cell that cannot be read as text."""


class Row(NamedTuple):
    """A row, numbered as in a spreadsheet, where a header is row 1. An unreadable row has a `problem` and no cells."""

    number: int
    cells: dict[str, Any]
    problem: str = ""


class Unreadable(NamedTuple):
    """Takes the place of a cell that its file's library cannot convert."""

    reason: str


def damaged(path: Path, error: Exception) -> UserError:
    """Returns the error of a table that cannot be read."""
    reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), "") or type(error).__name__
    return UserError(f"{path} cannot be read ({reason}): check its permissions, or write or copy it again.")


def cell_text(value: Any) -> str:
    """Converts a cell to text: "" for a missing value; joins the entries of a list by commas.

    Raises:
        CellError: the cell is neither text, a number, a date nor a list of these, or holds half a character.
    """
    if isinstance(value, list | tuple) and not isinstance(value, Unreadable):
        return ", ".join(filter(None, map(_entry_text, value)))
    return _entry_text(value)


def is_missing(text: str) -> bool:
    """Returns whether a text means that there is no value; `none` in lower case is one."""
    text = text.strip()
    return not text.strip(PLACEHOLDERS) or text in MISSING_AS_WRITTEN or text.lower() in MISSING


def missing_spelling(value: Any) -> str:
    """Returns how a cell spells that it is missing, "" if it is empty or has a value."""
    return value.strip() if isinstance(value, str) and is_missing(value) else ""


def _entry_text(value: Any) -> str:
    if value is None or (isinstance(value, float | Decimal) and not math.isfinite(value)):
        return ""
    if isinstance(value, Unreadable):
        raise CellError(f"is an unreadable {value.reason}")
    if isinstance(value, list | tuple | dict | set):
        raise CellError("is nested")
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise CellError("is binary") from error
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)  # a column with gaps turns 42 into 42.0
    if isinstance(value, Decimal):
        value = f"{value.normalize():f}"
    text = str(value).strip()
    if len(text) > LONGEST_TEXT:
        raise CellError(f"is longer than {LONGEST_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CellError("has half a character (a lone surrogate)") from error
    return "" if is_missing(text) else text
