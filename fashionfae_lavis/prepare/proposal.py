"""Proposed options of `fashionfae prepare catalogue` for a table whose columns have other names than expected.

The first rows of the table and the file names in the image folder show what a column holds. A proposal is only printed:
the user runs the command, or corrects it first.
"""

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.attributes import FEWEST, attribute_name, why_useless
from fashionfae_lavis.prepare.cells import CellError, cell_text
from fashionfae_lavis.prepare.downloads import is_address
from fashionfae_lavis.prepare.images import listed_images
from fashionfae_lavis.prepare.listing import ENDINGS, listing, split_ending
from fashionfae_lavis.prepare.splits import SPLIT_NAMES
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.text.product_text import FREE_TEXT

ROWS, COLUMNS = 1000, 200  # how many of the table are looked at
LOOKED_UP = 100  # rows whose images are looked up in the folder
MOST_ATTRIBUTES, TITLE_PARTS = 20, 3
LONG_TEXT = 12  # mean number of words that makes a column a description rather than a title
LONGEST_ID = 40  # characters
ID_WORDS = frozenset({"id", "sku", "ean", "gtin", "upc", "asin", "code", "number", "handle", "uuid"})
TITLE_WORDS = frozenset({"title", "name", "product"})
BOOLEANS = frozenset({"true", "false", "yes", "no", "y", "n", "t", "f"})


class Column:
    """The values of a column in the first rows.

    Attributes:
        name: the name of the column.
        rows: number of rows.
        values: the texts of the rows that have one.
    """

    def __init__(self, name: str, cells: Iterable[object]):
        self.name = name
        texts = [_text(cell) for cell in cells]
        self.rows = len(texts)
        self.values = [text for text in texts if text]

    @cached_property
    def distinct(self) -> set[str]:
        """The distinct values."""
        return set(self.values)

    @cached_property
    def words(self) -> float:
        """The mean number of words of a value."""
        return sum(len(value.split()) for value in self.values) / max(1, len(self.values))

    def share(self, test: Callable[[str], object]) -> float:
        """Returns the share of values that pass a test."""
        return sum(bool(test(value)) for value in self.values) / max(1, len(self.values))

    def name_has(self, words: Collection[str]) -> bool:
        """Returns whether the name has one of these words."""
        return any(word in words for word in _name(self.name).split())

    @property
    def is_mostly_distinct(self) -> bool:
        """Whether there are more than half as many distinct values as rows."""
        return len(self.distinct) > self.rows / 2

    @property
    def is_text(self) -> bool:
        """Whether the values are texts of several words, most of them different."""
        return self.words >= 2 and self.is_mostly_distinct and self.share(_is_lettered) > 0.5 > self.share(_is_image)

    @property
    def is_id(self) -> bool:
        """Whether the values are short and unique, and none is a decimal number such as a price."""
        return (
            len(self.distinct) == self.rows > 0
            and max(map(len, self.distinct)) <= LONGEST_ID
            and not any(len(value.split()) > 1 or re.fullmatch(r"\d+[.,]\d+", value) for value in self.distinct)
        )

    @property
    def is_split(self) -> bool:
        """Whether all values name splits, and one of them names training."""
        names = {value.lower() for value in self.distinct}
        return names <= SPLIT_NAMES.keys() and "train" in map(SPLIT_NAMES.get, names)

    @property
    def is_attribute(self) -> bool:
        """Whether the values are few, short and made of letters."""
        return (
            len(self.distinct) > 1
            and (len(self.distinct) < len(self.values) or len(self.values) >= FEWEST)
            and not why_useless(len(self.distinct), len(self.values))
            and self.words <= 3
            and self.share(_is_lettered) > 0.5 > self.share(_is_image)
            and not self.name_has(ID_WORDS)
            and not {value.lower() for value in self.distinct} <= BOOLEANS
        )


@dataclass
class Proposal:
    """Options that the first rows suggest.

    Attributes:
        columns: role -> its column.
        pattern: the pattern of image files, "" for none.
        title: a template of the title, if no column has texts, "" for none.
        attributes: columns of attributes.
    """

    columns: dict[str, str] = field(default_factory=dict)
    pattern: str = ""
    title: str = ""
    attributes: list[str] = field(default_factory=list)

    def options(self) -> list[str]:
        """Returns the options as arguments of the command."""
        pairs = ",".join(f"{role}={column}" for role, column in self.columns.items())
        options = {"--map": pairs, "--pattern": self.pattern, "--title": self.title}
        options["--attributes"] = ",".join(self.attributes)
        return [part for option, value in options.items() if value for part in (option, value)]


def propose(
    table: Table, folder: Path, known: dict[str, str], attributes: dict[str, str], pattern: str | None
) -> Proposal:
    """Proposes options for the roles and attributes that are missing.

    Args:
        table: the table.
        folder: the image folder.
        known: role -> its column, for roles that are given or were found by their names.
        attributes: name -> column of the attributes that are given; others are proposed only if there are none.
        pattern: the pattern of image files, if given.
    """
    read = _first_rows(table)
    columns = [column for column in read if column.name not in {*known.values(), *attributes.values()}]
    found = Proposal()

    def take(role: str, fitting: list[Column]) -> None:
        if fitting and role not in known:
            found.columns[role] = fitting[0].name
            columns.remove(fitting[0])

    take("split", [column for column in columns if column.is_split])
    if not pattern and "image" not in known:
        take("image", _image_columns(columns, folder))
    long = [column for column in columns if column.is_text and column.words >= LONG_TEXT]
    take("description", sorted(long, key=lambda column: -column.words))
    short = [column for column in columns if column.is_text and column.words < LONG_TEXT]
    take("title", sorted(short, key=lambda column: (not column.name_has(TITLE_WORDS), -len(column.distinct))))
    if not pattern and "image" not in {*known, *found.columns}:
        found.pattern = _pattern(read, folder)
    ids = [column for column in columns if column.is_id]
    in_pattern = [column for column in ids if f"{{{column.name}}}" in found.pattern]
    take("id", in_pattern or [column for column in ids if column.name_has(ID_WORDS)])
    if not attributes:
        names: dict[str, str] = {}
        for column in columns:
            if column.is_attribute and _name(column.name):
                names.setdefault(_name(column.name), column.name)
        found.attributes = list(names.values())[:MOST_ATTRIBUTES]
    if not {*known, *found.columns} & {*FREE_TEXT}:
        parts = filter(_fits_option, [*attributes.values(), *found.attributes])
        found.title = " ".join(f"{{{name}}}" for name in islice(parts, TITLE_PARTS))
    return found


def incomplete(
    table: Table, folder: Path, known: dict[str, str], attributes: dict[str, str], pattern: str | None
) -> UserError:
    """Returns the error for a command that lacks texts or images. It names everything missing, and proposes options.

    The arguments are those of `propose`.
    """
    found = propose(table, folder, known, attributes, pattern)
    lacks = {
        "called title or description (--map title=COLUMN, or --title)": {*FREE_TEXT},
        "called image (--map image=COLUMN, or --pattern)": {"image"},
    }
    roles = {*known, *(["image"] if pattern else [])}
    lacking = {text: wanted for text, wanted in lacks.items() if not wanted & roles}
    message = f"{table.path} has no column {' and none '.join(lacking)}"
    if not attributes:
        message += ", and no --attributes are given"
    options = found.options()
    suggested = {*found.columns, *(["image"] if found.pattern else []), *(["title"] if found.title else [])}
    unknown = [text for text, wanted in lacking.items() if not wanted & suggested]
    if unknown:
        return UserError(f"{message}: name some of its columns ({table.shown_columns()}).")
    return UserError(f"{message}: its first rows suggest {shlex.join(options)}.", options)


def _first_rows(table: Table) -> list[Column]:
    """Returns the columns that have values and may be named in an option."""
    rows = [row.cells for row in table.head(ROWS) if not row.problem]
    names = [name for name in table.columns[:COLUMNS] if _fits_option(name) and name not in table.repeated]
    columns = (Column(name, (cells.get(name) for cells in rows)) for name in names)
    return [column for column in columns if column.values]


def _fits_option(name: str) -> bool:
    return name.isprintable() and name == name.strip() and name[:1] not in ("", "-") and not set(name) & set(",={}")


def _image_columns(columns: list[Column], folder: Path) -> list[Column]:
    """Returns the columns of image files or web addresses, sorted by how many of their files exist."""
    fitting = [column for column in columns if column.share(_is_image) > 0.5]
    return sorted(fitting, key=lambda column: (-_existing(column, folder), column.share(is_address)))


def _existing(column: Column, folder: Path) -> int:
    """Returns how many of the first values name an existing file."""
    names = [name for value in column.values[:LOOKED_UP] for name in listed_images(value)[:1]]
    return sum(os.path.isfile(os.path.join(folder, name)) for name in names)


def _pattern(columns: list[Column], folder: Path) -> str:
    """Returns the pattern, such as `{sku}_*.jpg`, that fits most products; "" if none fits more than half of them."""
    fitting = {}
    for column in filter(lambda column: column.is_mostly_distinct, columns):
        values = [value for value in column.values[:LOOKED_UP] if "/" not in value]
        for rest, count in Counter(rest for value in values for rest in _endings(value, folder)).items():
            if count > len(values) / 2:
                fitting[f"{{{column.name}}}{rest}"] = count
    return max(fitting, key=lambda pattern: fitting[pattern], default="")


def _endings(value: str, folder: Path) -> set[str]:
    """Returns what follows a value in the names of its images: `.jpg`, `_*.jpg`, or `/*` for a folder of images."""
    endings = set()
    for name in islice(listing(folder, folder).starting_with(value), LOOKED_UP):
        stem, ending = split_ending(name)
        rest = stem.removeprefix(value)
        if name == value and os.path.isdir(folder / name):
            endings.add("/*")
        elif ending and not rest[:1].isalnum():
            endings.add(f"{rest[:1]}*{ending}" if rest else ending)
    return endings


def _text(cell: object) -> str:
    """Returns a cell as text, "" if it cannot be read; `2011.0` becomes `2011`."""
    try:
        return re.sub(r"^(\d+)\.0$", r"\1", cell_text(cell))
    except CellError:
        return ""


def _name(column: str) -> str:
    """Returns the column's name as an attribute, "" if it cannot be one."""
    try:
        return attribute_name(column)
    except UserError:
        return ""


def _is_lettered(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def _is_image(text: str) -> bool:
    try:
        names = listed_images(text)
    except CellError:
        return False
    return bool(names) and all(is_address(name) or name.lower().endswith(ENDINGS) for name in names)
