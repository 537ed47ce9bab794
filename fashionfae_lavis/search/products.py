"""The products to embed: of a table, a prepared catalogue, or a folder of photographs."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fashionfae_lavis.datasets.datasets.catalogue_file import NAME, listed_products
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.attributes import attribute_name
from fashionfae_lavis.prepare.cells import CellError, cell_text
from fashionfae_lavis.prepare.folders import FolderProducts
from fashionfae_lavis.prepare.prices import price_value
from fashionfae_lavis.prepare.products import ProductRows, find_columns
from fashionfae_lavis.prepare.source import Product
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.prepare.texts import is_utf8
from fashionfae_lavis.search.vectors import OWN
from fashionfae_lavis.text.product_text import FREE_TEXT

LOOKED_AT = 1000  # a column is kept if it can be read in this many first rows


class Skipped(NamedTuple):
    """A product that is not embedded, its photograph if it has one, and the problem."""

    id: str
    image: str
    problem: str

    @classmethod
    def of(cls, *texts: str) -> "Skipped":
        """Makes the record of these texts, in which bytes of file names that are not UTF-8 are escaped."""
        return cls(*(text.encode(errors="backslashreplace").decode() for text in texts))


@dataclass(frozen=True, eq=False)
class Products:
    """Products with one photograph each.

    Attributes:
        folder: the folder that photographs are relative to.
        ids: N ids.
        images: N photographs, the first of each product.
        columns: name -> N values of the products' own columns, None where missing.
        skipped: products without a photograph, or with another problem.
    """

    folder: Path
    ids: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    columns: dict[str, list[str | float | None]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


def read_products(
    path: str | Path,
    images: str | Path | None = None,
    columns: dict[str, str] | None = None,
    attributes: dict[str, str] | None = None,
    pattern: str | None = None,
    group: Sequence[str] = (),
    title: str | None = None,
) -> Products:
    """Reads the products to embed, with the columns to write next to their vectors.

    Args:
        path: a product table as `prepare_catalogue` reads it; a folder that `fashionfae prepare catalogue` wrote; or a
            folder of photographs, whose ids are their paths below it.
        images: the folder that the table's image paths are relative to (default: that of the table).
        columns, pattern, group, title: of a table; see `prepare_catalogue`.
        attributes: name -> column of the table to write (default: all columns).

    Raises:
        UserError: the input cannot be read or has no usable product, or an option of tables is given for a folder.
    """
    path = Path(path)
    for given in (path, images):
        if given and not is_utf8(str(given)):
            raise UserError(f"{str(given)!r} is a name that is not UTF-8: rename it.")
    if path.is_dir():
        options = {"images": images, "map": columns, "attributes": attributes}
        _refuse(options | {"pattern": pattern, "group": group, "title": title}, path)
        products = _of_catalogue(path) if (path / NAME).exists() else _of_folder(path)
    else:
        table, folder = Table(path), Path(images or path.parent)
        if not folder.is_dir():
            raise UserError(f"--images {folder} is not a folder: name the folder of the images.")
        travelling = attributes or _readable_columns(table, find_columns(table, columns or {}).values())
        rows = ProductRows(table, folder, columns or {}, travelling, pattern, group, title, needs_text=False)
        unified = ((product, rows.unified(product.fields)) for product in rows)
        products = _listed(folder, unified, rows.attributes, rows.names_splits)
    if not len(products):
        reason = f" ({products.skipped[0].problem})" if products.skipped else ""
        raise UserError(f"{path} has no product with a photograph{reason}: check --images and the table's columns.")
    return products


def _refuse(options: dict[str, object], path: Path) -> None:
    given = next((name for name, value in options.items() if value), None)
    if given:
        raise UserError(f"--{given} is an option of tables, but {path} is a folder: leave it out, or name a table.")


def _readable_columns(table: Table, mapped: Iterable[str]) -> dict[str, str]:
    """Returns name in words -> column, for the columns of texts and numbers that have no role."""
    rows = [row.cells for row in table.head(LOOKED_AT) if not row.problem]
    taken = {*mapped, *table.repeated}
    found: dict[str, str] = {}
    for column in table.columns:
        if column in taken or not all(_is_readable(cells.get(column)) for cells in rows):
            continue
        try:
            name = attribute_name(column)
        except UserError:
            continue
        if name not in OWN:
            found.setdefault(name, column)
    return found


def _is_readable(cell: object) -> bool:
    try:
        cell_text(cell)
    except CellError:
        return False
    return True


def _of_catalogue(root: Path) -> Products:
    folder, names, splits = listed_products(root)

    def products() -> Iterator[tuple[Product, dict[str, str]]]:
        for split, found in splits.items():
            for listed in found:
                product = Product(listed["row"], listed.get("id") or str(listed["row"]), split)
                product.title, product.description = listed["title"], listed["description"]
                product.images = listed["images"]
                yield product, listed["fields"]

    return _listed(folder, products(), names, True)


def _of_folder(folder: Path) -> Products:
    source = FolderProducts(folder, "INPUT")
    return _listed(folder, ((product, product.fields) for product in source), source.attributes, source.names_splits)


def _listed(
    folder: Path, products: Iterable[tuple[Product, dict[str, str]]], attributes: Iterable[str], has_splits: bool
) -> Products:
    """Collects products and their attributes into columns; drops columns without a value."""
    listed = Products(folder)
    names = [*FREE_TEXT, *(["split"] if has_splits else []), *attributes]
    columns: dict[str, list[str | float | None]] = {name: [] for name in dict.fromkeys(names)}
    taken = next((name for name in columns if name in OWN), None)
    if taken:
        raise UserError(
            f"The attribute {taken} has the name of a column that every file of vectors has: give it another, such as "
            f"--attributes product_{taken}={taken}."
        )
    for product, fields in products:
        image, problem = _photograph_of(product)
        if problem:
            listed.skipped.append(Skipped.of(product.id or f"row {product.row}", image, problem))
            continue
        listed.ids.append(product.id)
        listed.images.append(image)
        texts = {"title": product.title, "description": product.description, "split": product.split, **fields}
        for name, values in columns.items():
            values.append(_value(name, texts.get(name, "")))
    listed.columns.update({name: values for name, values in columns.items() if any(v is not None for v in values)})
    return listed


def _photograph_of(product: Product) -> tuple[str, str]:
    """Returns the first photograph without a known problem, and ""; or a photograph, and why it cannot be used."""
    if product.problem:
        return "", product.problem
    if not is_utf8(product.id):  # the name of a file
        return product.images[0], "has a name that is not UTF-8"
    usable = next((image for image in product.images if image not in product.image_problems), None)
    if usable is not None:
        return usable, ""
    first = next(iter(product.images), "")
    return first, product.image_problems.get(first, product.no_image)


def is_price(name: str) -> bool:
    """Returns whether a column holds prices, judged by its name; prices are written as numbers."""
    return "price" in name.split()


def _value(name: str, text: str) -> str | float | None:
    """Returns a cell of a column; that of a price is its number, the lowest of several."""
    if not is_price(name):
        return sys.intern(text) if text else None
    return min((value for value in map(price_value, text.split(", ")) if value is not None), default=None)
