"""A prepared catalogue: one file with the products that `fashionfae prepare catalogue` accepted.

catalogue.jsonl is JSON Lines in UTF-8. The first line describes the file:

    {"format": 1, "images": <folder>, "attributes": [name, ...], "products": {<split>: count, ...}, ...}

Each further line is a product:

    {"split": "train", "row": <row in the user's table>, "id": ..., "images": [<path below the folder>, ...],
     "title": ..., "description": ..., "fields": {<attribute>: <value>, ...}}

The images stay in the user's folder. A relative folder is relative to the file, so both can be moved together.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import Int64, first_problem, open_regular
from fashionfae_lavis.photographs import ENOUGH, read_photograph
from fashionfae_lavis.text.product_text import FREE_TEXT

NAME = "catalogue.jsonl"
FORMAT = 1
SPLITS = ("train", "val", "test")


class Head(TypedDict):
    """The first line."""

    images: str
    attributes: list[str]
    products: dict[str, int]


class ListedProduct(TypedDict):
    """A further line; `CatalogueFile` needs the keys from `row` on."""

    split: str
    row: Int64
    id: NotRequired[str]
    images: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    title: str
    description: str
    fields: dict[str, str]


JSON, HEAD, PRODUCT = TypeAdapter(Any), TypeAdapter(Head), TypeAdapter(ListedProduct)


class CatalogueFile:
    """The products of one split, with image files in one folder; a `ProductFile` (datasets/protocols.py).

    Args:
        path: the file that lists the products, for messages.
        images: the folder that the products' image paths are relative to.
        names: the attributes, in the order of their prompts.
        products: dicts with the keys row (which becomes the product id), images, title, description and fields.
        mend: advice for an unreadable image, for messages.

    Attributes:
        enough: pixels of the shorter side that the reader of the images needs.
    """

    enough = ENOUGH

    def __init__(
        self,
        path: Path,
        images: Path,
        names: list[str],
        products: Sequence[Mapping[str, Any]],
        mend: str = "put it back, or prepare the catalogue again",
    ):
        self.path = path
        self._mend = mend
        self.product_ids = np.array([product["row"] for product in products], dtype=np.int64)
        counts = [len(product["images"]) for product in products]
        self.row_product = np.repeat(np.arange(len(products)), counts)
        self._folder = images
        self._images = [name for product in products for name in product["images"]]
        self.texts = {name: [product[name] for product in products] for name in FREE_TEXT}
        # Keep each value in memory once, because many products share it.
        self.texts |= {name: [sys.intern(product["fields"].get(name, "")) for product in products] for name in names}

    def image(self, row: int) -> Image.Image:
        """Reads the photograph in this row, RGB; raises UserError if it is missing, damaged or outside the folder."""
        return read_photograph(self._folder / self._images[row], self._folder, self._mend, self.enough)


def read_head(root: str | Path) -> Head:
    """Reads the first line of a catalogue; raises UserError as `read_catalogue` does."""
    path = _index(root)
    try:
        with open_regular(path) as file:
            return _read_head(next(file, b""), path)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_catalogue(root: str | Path, needs: str | None = None) -> dict[str, CatalogueFile]:
    """Reads the products of each split that has any.

    Args:
        root: the folder given to `fashionfae prepare catalogue --out`.
        needs: a required attribute; products without a value of it are left out.

    Returns:
        Split -> its products.

    Raises:
        UserError: there is no prepared catalogue, it is damaged, or it lacks the attribute.
    """
    path, (images, names, products) = _index(root), listed_products(root)
    if needs is not None:
        if needs not in names:
            mend = (
                f"the attributes {', '.join(names)}: set it to one of them"
                if names
                else "no attributes: prepare it with --attributes, or from class folders"
            )
            raise UserError(f"`label` of the dataset is {needs!r}, but {path} has {mend}.")
        products = {split: [p for p in found if p["fields"].get(needs)] for split, found in products.items()}
    return {split: CatalogueFile(path, images, names, found) for split, found in products.items() if found}


def listed_products(root: str | Path) -> tuple[Path, list[str], dict[str, list[ListedProduct]]]:
    """Reads the products of a catalogue as the file lists them.

    Returns:
        The image folder, the names of the attributes, and split -> its products.

    Raises:
        UserError: there is no prepared catalogue, or it is damaged.
    """
    path = _index(root)
    try:
        with open_regular(path) as file:
            head = _read_head(next(file, b""), path)
            return path.parent / head["images"], head["attributes"], _read_products(file, head, path)
    except OSError as error:
        raise _unreadable(path, error) from error


def how_to_make(root: str | Path) -> str:
    """Returns the advice for a missing catalogue, without a full stop."""
    command = f"fashionfae prepare catalogue --images DIR --out {root}"
    return f"make it with `{command}`, and with `--table FILE` if a table lists the products"


def _index(root: str | Path) -> Path:
    """Returns the path of the index in a catalogue's folder; raises UserError if there is none."""
    path = Path(root) / NAME
    if not os.path.lexists(path):
        raise UserError(f"{path} is missing: {how_to_make(root)}.")
    return path


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read ({error.strerror}): prepare the catalogue again.")


def _read_head(line: bytes, path: Path) -> Head:
    try:
        head = JSON.validate_json(line)
        if isinstance(head, dict) and head.get("format", FORMAT) != FORMAT:
            raise UserError(f"{path} was prepared by another version of this package: prepare the catalogue again.")
        return HEAD.validate_python(head, strict=True)
    except ValidationError as error:
        raise _damaged(path, f"line 1: {first_problem(error)}") from error


def _read_products(lines: Iterable[bytes], head: Head, path: Path) -> dict[str, list[Any]]:
    """Reads the products of each split that the first line counts."""
    products: dict[str, list[Any]] = {split: [] for split in head["products"]}
    rows: set[int] = set()
    for number, line in enumerate(lines, start=2):
        try:
            product = PRODUCT.validate_json(line, strict=True)
        except ValidationError as error:
            raise _damaged(path, f"line {number}: {first_problem(error)}") from error
        if product["split"] not in products:
            raise _damaged(path, f"line {number}: the first line has no split {product['split']!r}")
        if product["row"] in rows:
            raise _damaged(path, f"line {number}: another product has row {product['row']}")
        rows.add(product["row"])
        products[product["split"]].append(product)
    if {split: len(found) for split, found in products.items()} != head["products"]:
        raise _damaged(path, "its first line gives another number of products")
    return products


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): prepare the catalogue again.")
