"""A shop's product table: its rows as products with photographs, and a copy of it with the labels."""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.prepare.image_checks import find_photograph
from fashionfae_lavis.prepare.products import ProductRows
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.search.labels import Label

ADDED = ("confidence", "runner-up")  # columns of an attribute, next to its value


class ProductTable:
    """The products of a table, in memory without their photographs; a `ProductFile` (datasets/protocols.py).

    Args:
        table: the table, in a format of `fashionfae prepare catalogue`.
        images: the folder that image paths are relative to.
        columns: role -> its column.
        attributes: name of an attribute -> its column.
        pattern: a pattern of image files; see `prepare.images.Pattern`.
        title: a template of the title; see `prepare.templates.TitleTemplate`.
        needs_columns: whether each attribute must have its column. If not, no product has a value of an attribute
            without a column.

    Attributes:
        attribute_columns: name of an attribute -> the column of its value, in this table or to be added.
        ids: the id of each product.

    Raises:
        UserError: the table cannot be read, or a column is missing or repeated.
    """

    def __init__(
        self,
        table: str | Path,
        images: Path,
        columns: dict[str, str],
        attributes: dict[str, str],
        pattern: str | None = None,
        title: str | None = None,
        needs_columns: bool = True,
    ):
        self._table = Table(table)
        if self._table.repeated:
            raise UserError(f"{table} has several columns called {min(self._table.repeated)!r}: rename all but one.")
        given = {name: column for name, column in attributes.items() if needs_columns or column in self._table.columns}
        rows = ProductRows(self._table, images, columns, given, pattern, title=title, needs_text=False)
        self.path, self._folder = self._table.path, images
        self.attribute_columns = {**attributes, **rows.attribute_columns}
        products = list(rows)
        fields = [rows.unified(product.fields) for product in products]
        self.ids = [product.id for product in products]
        self.product_ids = np.array([product.row for product in products], dtype=np.int64)
        self.row_product = np.repeat(np.arange(len(products)), [len(product.images) for product in products])
        self._images = [name for product in products for name in product.images]
        self.texts = {
            "title": [product.title for product in products],
            "description": [product.description for product in products],
            **{name: [each.get(name, "") for each in fields] for name in attributes},
        }

    def image(self, row: int) -> Image.Image:
        """Reads the photograph in this row, RGB; raises UserError if it cannot be used."""
        name, problem, photograph = find_photograph(self._images[row], self._folder)
        if photograph is None:
            raise UserError(f"{self._folder / name} {problem}: use another file.")
        return photograph

    def image_name(self, product: int) -> str:
        """Returns the first image of a product as the table names it, "" if there is none."""
        rows = np.flatnonzero(self.row_product == product)
        return self._images[rows[0]] if len(rows) else ""

    def write_labelled(self, labels: Mapping[int, Mapping[str, Label]], out: Path) -> int:
        """Writes a copy of the table as CSV, in which labels fill empty cells; replaces an older file atomically.

        Three columns belong to each attribute: its value, `<attribute> confidence` and `<attribute> runner-up`. The
        last two are empty next to a value that the table gives.

        Args:
            labels: index of a product -> attribute -> its label.
            out: the file to write.

        Returns:
            The number of rows that could not be read, which the copy leaves out.

        Raises:
            UserError: a name of a new column is taken, or the file cannot be written.
        """
        product_of = {int(row): product for product, row in enumerate(self.product_ids)}
        unreadable = 0
        with replacing(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.labelled_columns())
            writer.writeheader()
            for row in self._table.head(sys.maxsize):
                if row.problem:
                    unreadable += 1
                    continue
                cells = {column: _written(cell) for column, cell in row.cells.items()}
                cells |= self._label_cells(labels.get(product_of[row.number], {}))
                writer.writerow(cells)
        return unreadable

    def labelled_columns(self) -> list[str]:
        """Returns the columns of a labelled copy, with the three columns of each attribute side by side.

        Raises:
            UserError: the table has a column with the name of a new one.
        """
        own = dict.fromkeys(column for row in self._table.head(sys.maxsize) for column in row.cells)
        own |= dict.fromkeys(self.attribute_columns.values())
        added = {column: [f"{name} {each}" for each in ADDED] for name, column in self.attribute_columns.items()}
        taken = next((new for each in added.values() for new in each if new in own), None)
        if taken:
            raise UserError(f"{self.path} has a column called {taken!r} already: rename it, or label another table.")
        return [name for column in own for name in (column, *added.get(column, ()))]

    def _label_cells(self, labels: Mapping[str, Label]) -> dict[str, str]:
        cells: dict[str, str] = {}
        for name, label in labels.items():
            written = (label.value, f"{label.confidence:.3f}", label.runner_up)
            columns = (self.attribute_columns[name], *(f"{name} {each}" for each in ADDED))
            cells |= dict(zip(columns, written, strict=True))
        return cells


def _written(cell: Any) -> str:
    """Returns a cell as CSV holds it: a list or an object as JSON."""
    if cell is None:
        return ""
    return json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, list | dict) else str(cell)
