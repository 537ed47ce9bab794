"""Reads the rows of a product table as products, with all checks except those of images."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.attributes import attribute_name
from fashionfae_lavis.prepare.cells import CellError, cell_text, missing_spelling
from fashionfae_lavis.prepare.downloads import Downloads, is_address
from fashionfae_lavis.prepare.grouping import merge_variants
from fashionfae_lavis.prepare.images import Pattern, listed_images
from fashionfae_lavis.prepare.prices import price_words
from fashionfae_lavis.prepare.proposal import incomplete, propose
from fashionfae_lavis.prepare.source import Product, ProductSource
from fashionfae_lavis.prepare.splits import SPLIT_NAMES
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.prepare.templates import TitleTemplate
from fashionfae_lavis.prepare.texts import plain_text
from fashionfae_lavis.text.product_text import FREE_TEXT

# Role of a column -> column names that are found automatically, without --map.
ROLES = {
    "id": ("id", "sku", "product_id"),
    "title": ("title", "name", "product_name"),
    "description": ("description",),
    "image": ("image", "images", "image_path"),
    "split": ("split",),
}


class ProductRows(ProductSource):
    """Products of a table, with all checks except those of images.

    Args:
        table: the table.
        folder: the image folder.
        columns: role -> its column.
        attributes: name of an attribute in prompts -> its column.
        pattern: see `images.Pattern`.
        group: rows with equal values in these columns are one product; see grouping.py.
        title: see `templates.TitleTemplate`.
        needs_text: whether a product without a title and a description is unusable.

    Raises:
        UserError: a column is missing.
    """

    def __init__(
        self,
        table: Table,
        folder: Path,
        columns: dict[str, str],
        attributes: dict[str, str],
        pattern: str | None = None,
        group: Sequence[str] = (),
        title: str | None = None,
        needs_text: bool = True,
    ):
        if title and "title" in columns:
            raise UserError(f"--title {title} and --map title={columns['title']} both give the title: use one of them.")
        self.table = table
        self.columns = find_columns(table, columns)
        self.title = TitleTemplate(title, table.columns) if title else None
        self.attribute_columns: dict[str, str] = {}
        for name, column in attributes.items():
            words = attribute_name(name)
            if words in self.attribute_columns:
                raise UserError(f"--attributes {name}: another attribute is called {words} too, so rename one.")
            self.attribute_columns[words] = column
        self.group = list(group)
        _require(
            table,
            [
                *((f"--map {role}={column}", column) for role, column in self.columns.items()),
                *((f"--attributes {name}={column}", column) for name, column in self.attribute_columns.items()),
                *((f"--group {column}", column) for column in self.group),
                *((f"--title {title}", column) for column in (self.title.columns if self.title else ())),
            ],
        )
        self.pattern = Pattern(pattern, folder, table.columns) if pattern else None
        known = {**self.columns, **({"title": title} if title else {})}
        self.needs_text = needs_text
        if (needs_text and not known.keys() & FREE_TEXT) or not (self.pattern or "image" in known):
            lacking = known if needs_text else {"title": "", **known}
            raise incomplete(table, folder, lacking, self.attribute_columns, pattern)
        self._propose = partial(propose, table, folder, known, self.attribute_columns, pattern)
        self._downloads = Downloads(folder)
        super().__init__(table.path, self.attribute_columns, "split" in self.columns)

    def count(self) -> int | None:
        return None if self.group else self.table.count()

    def suggested_attributes(self) -> list[str]:
        return [] if self.attributes else self._propose().attributes

    def __iter__(self) -> Iterator[Product]:
        self._downloads.matched = self.merged_rows = 0
        seen: set[bytes] = set()
        for product in merge_variants(self._rows(), self._last_rows()) if self.group else self._rows():
            self.merged_rows -= 1
            if not product.problem:
                self._check(product)
            if product.id:
                digest = blake2b(product.id.encode(), digest_size=16).digest()
                if digest in seen and not product.problem:
                    product.problem = "duplicate id"
                seen.add(digest)
            yield product
        self.addresses, self.decode_fallbacks = self._downloads.matched, self.table.decode_fallbacks

    def _last_rows(self) -> dict[str, int]:
        """Returns the last row of each value of the first column of `--group`."""
        rows = {}
        for number, cells, _ in self.table:
            with suppress(CellError):
                rows[_text(cells, self.group[0])] = number
        return rows

    def _rows(self) -> Iterator[Product]:
        for number, cells, problem in self.table:
            self.merged_rows += 1
            product = Product(number, problem=problem)
            if not problem:
                try:
                    self._fill(product, cells)
                except CellError as error:
                    product.problem = f"unreadable cell: {error}"
            yield product

    def _fill(self, product: Product, cells: dict) -> None:
        """Reads the cells of a row."""
        group = tuple(_text(cells, column) for column in self.group)
        product.group = group if group and group[0] else ()
        used = [*self.columns.values(), *self.attribute_columns.values()]
        product.missing = list(filter(None, (missing_spelling(cells.get(column)) for column in used)))
        text = {role: _text(cells, column) for role, column in self.columns.items() if role != "image"}
        product.id = text.get("id", str(product.row))
        if product.group and self.columns.get("id", self.group[0]) in self.group:
            product.id = " ".join(filter(None, product.group))
        product.title, product.description = (plain_text(text.get(name, "")) for name in FREE_TEXT)
        product.split = text.get("split", "")
        for name, column in self.attribute_columns.items():
            product.fields[name] = price_words(plain_text(_text(cells, column)))
        if self.title:
            product.title = ""
            product.title_parts = {column: plain_text(_text(cells, column)) for column in self.title.columns}
        self._find_images(product, cells)

    def _find_images(self, product: Product, cells: dict) -> None:
        names = self.pattern.images(cells) if self.pattern else _images(cells, self.columns["image"])
        if self.pattern and not names:
            product.no_image = self.pattern.problem(cells)
        found: dict[str, None] = {}
        for name in names:
            file, problem = self._downloads.find(name) if is_address(name) else (name, "")
            found[file] = None
            if problem:
                product.image_problems[file] = problem
        product.images = list(found)

    def _check(self, product: Product) -> None:
        """Composes the title, and says what keeps the product from being used."""
        split = product.split
        product.split = SPLIT_NAMES.get(split.lower(), "")
        if self.title:
            product.title = self.title.title(product.title_parts)
        if not product.id:
            product.problem = "no id"
        elif self.needs_text and not any(letter.isalnum() for letter in product.title + product.description):
            product.problem = "no text"
        elif self.names_splits and not product.split:
            product.problem = f"unknown split: {split[:50]!r}, none of {', '.join(SPLIT_NAMES)}"
        elif not product.images:
            product.problem = product.no_image


def _text(cells: dict, column: str) -> str:
    """Returns a cell as text; raises CellError that names the column."""
    try:
        return cell_text(cells.get(column))
    except CellError as error:
        raise CellError(f"{column} {error}") from error


def _images(cells: dict, column: str) -> list[str]:
    """Returns the images of a cell; raises CellError that names the column."""
    try:
        return listed_images(cells.get(column))
    except CellError as error:
        raise CellError(f"{column} {error}") from error


def find_columns(table: Table, columns: dict[str, str]) -> dict[str, str]:
    """Returns the column of each role, as given in `columns` or found by its name; omits roles without a column."""
    unknown = sorted(columns.keys() - ROLES.keys())
    if unknown:
        given = ", ".join(f"{role}=..." for role in unknown)
        raise UserError(f"--map {given}: use one of {', '.join(ROLES)} instead of {' and '.join(unknown)}.")
    lower = {column.lower(): column for column in reversed(table.columns)}
    found = {
        role: columns.get(role) or next((lower[name] for name in names if name in lower), None)
        for role, names in ROLES.items()
    }
    return {role: column for role, column in found.items() if column}


def _require(table: Table, named: list[tuple[str, str]]) -> None:
    """Checks that the table has each column once.

    Args:
        table: the table.
        named: pairs of the option that names a column and the column.

    Raises:
        UserError: columns are missing (the message names all of them), or a column is repeated.
    """
    lacking = [option for option, column in named if column not in table.columns]
    if lacking:
        these = "this column" if len(lacking) == 1 else "these columns"
        raise UserError(f"{', '.join(lacking)}: {table.path} lacks {these}; use one of {table.shown_columns()}.")
    for option, column in named:
        if column in table.repeated:
            raise UserError(f"{option}: {table.path} has several columns called {column!r}; rename all but one.")
