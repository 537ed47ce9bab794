"""The rows of a product table as products, with all checks except of images."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.attributes import attribute_name
from fashionfae_lavis.prepare.cells import CellError, cell_text, missing_spelling
from fashionfae_lavis.prepare.images import Pattern, listed_images
from fashionfae_lavis.prepare.proposal import incomplete
from fashionfae_lavis.prepare.splits import SPLIT_NAMES
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.prepare.texts import Spellings, plain_text
from fashionfae_lavis.text.product_text import FREE_TEXT

# Role of a column -> column names that are found automatically, without --map.
ROLES = {
    "id": ("id", "sku", "product_id"),
    "title": ("title", "name", "product_name"),
    "description": ("description",),
    "image": ("image", "images", "image_path"),
    "split": ("split",),
}


@dataclass
class Product:
    """A row of the table.

    Attributes:
        problem: why it cannot be used, "" if it can.
        missing: how cells spell that they have no value.
    """

    row: int
    id: str = ""
    split: str = ""
    title: str = ""
    description: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    problem: str = ""
    missing: list[str] = field(default_factory=list)


class ProductRows:
    """Products of a table. Iterating over it yields each `Product`.

    Attributes:
        table: the table.
        columns: role -> its column.
        attributes: name of an attribute in prompts -> its column.
        spellings: the spelling of each attribute value.

    Raises:
        UserError: a column is missing.
    """

    def __init__(self, table: Table, folder: Path, columns: dict, attributes: dict, pattern: str | None):
        self.table = table
        self.columns = _find_columns(table, columns)
        self.attributes: dict[str, str] = {}
        for name, column in attributes.items():
            words = attribute_name(name)
            if words in self.attributes:
                raise UserError(f"--attributes {name}: another attribute is called {words} too, so rename one.")
            _require(table, column, f"--attributes {words}={column}")
            self.attributes[words] = column
        self.pattern = Pattern(pattern, folder, table.columns) if pattern else None
        if not self.columns.keys() & FREE_TEXT or not (self.pattern or "image" in self.columns):
            raise incomplete(table, folder, self.columns, self.attributes, pattern)
        self.spellings = Spellings(self.attributes)

    def unified(self, fields: dict[str, str]) -> dict[str, str]:
        """Returns a product's attributes in the first spelling of each value, without empty ones."""
        spelled = {name: self.spellings.of(name, value) for name, value in fields.items()}
        return {name: value for name, value in spelled.items() if value}

    def __iter__(self) -> Iterator[Product]:
        seen: set[bytes] = set()
        for number, cells, problem in self.table:
            product = Product(number, problem=problem)
            if not problem:
                try:
                    self._fill(product, cells)
                except CellError as error:
                    product.problem = f"unreadable cell: {error}"
                digest = blake2b(product.id.encode(), digest_size=16).digest()
                if digest in seen and not product.problem:
                    product.problem = "duplicate id"
                seen.add(digest)
            yield product

    def _fill(self, product: Product, cells: dict) -> None:
        used = [*self.columns.values(), *self.attributes.values()]
        product.missing = list(filter(None, (missing_spelling(cells.get(column)) for column in used)))
        text = {role: _text(cells, column) for role, column in self.columns.items()}
        product.id = text.get("id", str(product.row))
        product.title, product.description = (plain_text(text.get(name, "")) for name in FREE_TEXT)
        product.split = SPLIT_NAMES.get(text.get("split", "").lower(), "")
        product.images = self.pattern.images(cells) if self.pattern else listed_images(cells.get(self.columns["image"]))
        for name, column in self.attributes.items():
            product.fields[name] = plain_text(_text(cells, column))
        if not product.id:
            product.problem = "no id"
        elif not any(letter.isalnum() for letter in product.title + product.description):
            product.problem = "no text"
        elif "split" in self.columns and not product.split:
            product.problem = f"unknown split: {text['split'][:50]!r}, none of {', '.join(SPLIT_NAMES)}"
        elif not product.images:
            product.problem = self.pattern.problem(cells) if self.pattern else "no image"


def _text(cells: dict, column: str) -> str:
    """Returns a cell as text; raises CellError that names the column."""
    try:
        return cell_text(cells.get(column))
    except CellError as error:
        raise CellError(f"{column} {error}") from error


def _find_columns(table: Table, columns: dict[str, str]) -> dict[str, str]:
    """Returns the column of each role, given in `columns` or found by its name; omits roles without a column."""
    unknown = columns.keys() - ROLES.keys()
    if unknown:
        raise UserError(f"--map {min(unknown)}=...: use one of {', '.join(ROLES)} instead of {min(unknown)}.")
    found = {}
    lower = {column.lower(): column for column in reversed(table.columns)}
    for role, names in ROLES.items():
        column = columns.get(role) or next((lower[name] for name in names if name in lower), None)
        if column:
            _require(table, column, f"--map {role}={column}")
            found[role] = column
    return found


def _require(table: Table, column: str, where: str) -> None:
    if column not in table.columns:
        raise UserError(f"{where}: {table.path} lacks this column; use one of {table.shown_columns()}.")
    if column in table.repeated:
        raise UserError(f"{where}: {table.path} has several columns called {column!r}; rename all but one.")
