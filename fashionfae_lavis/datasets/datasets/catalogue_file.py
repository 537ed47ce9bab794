"""A prepared catalogue: the products that `fashionfae prepare catalogue` found to be usable, in one file.

catalogue.jsonl, JSON Lines in UTF-8. The first line says what is in it:

    {"format": 1, "images": <folder>, "attributes": [name, ...], "products": {<split>: count, ...}, ...}

and each further line is a product:

    {"split": "train", "row": <its row in the user's table>, "id": ..., "images": [<path below the folder>, ...],
     "title": ..., "description": ..., "fields": {<attribute>: <value>, ...}}

The images stay where they are. A relative folder is relative to the file, so that both can be moved together.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.datasets.datasets.photographs import read_photograph
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.product_text import FREE_TEXT

NAME = "catalogue.jsonl"
FORMAT = 1
SPLITS = ("train", "val", "test")


class CatalogueFile:
    """The products of one split of a prepared catalogue, in its order; what `products._ProductsBase` asks of a file.

    Attributes: `product_ids` (P,) int64, each product's row in the table; `row_product` (N,) int64, index of the
    product of each image; `texts`, for title, description and each attribute a list of P strings.
    """

    mend = "put it back, or prepare the catalogue again"

    def __init__(self, path: Path, images: Path, names: list[str], products: list[dict]):
        self.path = path
        self.product_ids = np.array([product["row"] for product in products], dtype=np.int64)
        counts = [len(product["images"]) for product in products]
        self.row_product = np.repeat(np.arange(len(products)), counts)
        self._folder = images
        self._images = [name for product in products for name in product["images"]]
        self.texts = {name: [product[name] for product in products] for name in FREE_TEXT}
        # A value is shared by many products: it is kept once.
        self.texts |= {name: [sys.intern(product["fields"].get(name, "")) for product in products] for name in names}

    def image(self, row: int) -> Image.Image:
        """The photograph in this row, RGB. Raises UserError when it has gone, or is no longer whole."""
        path = self._folder / self._images[row]
        try:
            return read_photograph(path)
        except Exception as error:  # a broken file can make Pillow raise anything
            raise UserError(f"{path} cannot be read ({error}): {self.mend}") from error


def read_catalogue(root: str | Path, needs: str | None = None) -> dict[str, CatalogueFile]:
    """Split -> its products, for each split that has any; with `needs`, those that have a value of this attribute.

    Args:
        root: the folder given to `fashionfae prepare catalogue --out`.

    Raises:
        UserError: there is no prepared catalogue, it is damaged, or it has no such attribute.
    """
    path = Path(root) / NAME
    if not path.is_file():
        raise UserError(
            f"{path} is missing: make it with `fashionfae prepare catalogue --table FILE --images DIR --out {root}`"
        )
    try:
        with open(path, encoding="utf-8") as file:
            head = json.loads(next(file))
            if head["format"] != FORMAT:
                raise UserError(f"{path} was prepared by another version: prepare the catalogue again")
            names = list(head["attributes"])
            if needs is not None and needs not in names:
                raise UserError(
                    f"`label` of the data set is {needs!r}, but the attributes of {path} are "
                    f"{', '.join(names) or 'none at all'}: name one of them"
                )
            products: dict[str, list] = {split: [] for split in head["products"]}
            for line in file:
                product = json.loads(line)
                products[product["split"]].append(product)
            if {split: len(found) for split, found in products.items()} != head["products"]:
                raise ValueError("its number of products is another than its first line says")
            if needs is not None:
                products = {split: [p for p in found if p["fields"].get(needs)] for split, found in products.items()}
            images = path.parent / head["images"]
            return {split: CatalogueFile(path, images, names, found) for split, found in products.items() if found}
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(f"{path} is damaged ({error}): prepare the catalogue again") from error
