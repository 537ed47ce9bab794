"""Search results as a table for a terminal, whatever characters the products' texts hold."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
ISOLATE, END = "\u2068", "\u2069"  # first strong isolate: the text keeps its direction, its neighbours theirs
LONGEST_ID = 24  # columns
LEAST_ROOM = 10  # columns of title and attributes, on a terminal of any width
GAP = "  "


class HitLine(NamedTuple):
    """A line of the table."""

    score: float
    id: str
    title: str
    attributes: Sequence[str]
    also: Sequence[str] = ()  # ids of near-duplicates
    match: float | None = None


def hits_table(lines: Sequence[HitLine], width: int, first: int = 1) -> str:
    """Lays out hits: rank, score, probability of a match if known, id, title, and attributes with near-duplicates.

    The title and the attributes share what is left of the width, and are cut there. Ids are cut at 24 columns.

    Args:
        lines: the hits, best first.
        width: columns of the terminal.
        first: rank of the first hit.
    """
    matched = any(line.match is not None for line in lines)
    header = ["#", "score", *["match"] * matched, "id", "title", "attributes"]
    rows = [[str(rank), *_cells(line, matched)] for rank, line in enumerate(lines, start=first)]
    table = [header, *rows]
    *widths, title, attributes = (max(map(columns, cells)) for cells in zip(*table, strict=True))
    room = max(width - sum(widths) - len(GAP) * (len(widths) + 1), LEAST_ROOM)
    title = min(title, max(room - attributes, room // 2))
    widths = [*widths, title, min(attributes, room - title)]
    return "\n".join(GAP.join(map(fitted, row, widths)).rstrip() for row in table)


def _cells(line: HitLine, matched: bool) -> list[str]:
    numbers = [f"{line.score:.3f}"] + ["" if line.match is None else f"{line.match:.3f}"] * matched
    also = [f"[also {', '.join(line.also)}]"] if line.also else []
    attributes = ", ".join([*line.attributes, *also])
    return [*numbers, cut(printable(line.id), LONGEST_ID), printable(line.title), printable(attributes)]


def printable(text: Any) -> str:
    """Returns a text in one line, without characters that command a terminal or turn the direction of writing."""
    return " ".join(CONTROL.sub(" ", str(text)).split())


def columns(text: str) -> int:
    """Counts the columns that a terminal shows a text in: two for wide characters, none for combining ones.

    >>> columns("dress"), columns("ドレス"), columns("cafe\u0301")
    (5, 6, 4)
    """
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Cuts a text that takes more than `width` columns, and marks the cut.

    >>> cut("navy linen dress", 10), cut("ドレス", 5)
    ('navy line…', 'ドレ…')
    """
    if columns(text) <= width:
        return text
    kept, taken = "", 1
    for character in text:
        taken += _columns(character)
        if taken > width:
            break
        kept += character
    return kept + "…"


def fitted(text: str, width: int) -> str:
    """Cuts or pads a text to `width` columns; right-to-left text is isolated and does not reorder its neighbours."""
    text = cut(text, width)
    space = " " * (width - columns(text))
    backward = any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text)
    return (f"{ISOLATE}{text}{END}" if backward else text) + space
