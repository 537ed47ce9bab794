"""The columns of a FashionGen file that a run reads, and their JSON index, which opens in a second.

    {"format": 1, "source": {"name", "bytes", "modified"}, "product_ids": [P], "row_product": [N],
     "decode_fallbacks": n, "title": [P], "description": [P],
     "attributes": {<name>: {"values": [sorted], "products": [P, index into values]}, ...}}

The sorted values of an attribute are its vocabulary. For category and sub category they are the class lists.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from fashionfae_lavis.files import Int64, replacing
from fashionfae_lavis.text.product_text import FREE_TEXT, attribute_names

FORMAT = 1


class IndexedAttribute(TypedDict):
    """An attribute in the index."""

    values: list[str]
    products: list[Int64]


class Index(TypedDict):
    """The content of the index."""

    format: Literal[1]
    source: dict[str, Any]
    product_ids: list[Int64]
    row_product: list[Int64]
    decode_fallbacks: int
    title: list[str]
    description: list[str]
    attributes: dict[str, IndexedAttribute]


INDEX_TYPE = TypeAdapter(Index)


@dataclass(frozen=True)
class Columns:
    """All columns of a FashionGen file except its images, grouped by product.

    Attributes:
        product_ids: (P,) int64, in order of their first row.
        row_product: (N,) int64, the index of each image's product.
        texts: field -> P strings.
        decode_fallbacks: number of these strings that were UTF-8 rather than ISO-8859-1.
        mixed: number of products whose rows have different texts; None for columns read from an index.
    """

    product_ids: np.ndarray
    row_product: np.ndarray
    texts: dict[str, list[str]]
    decode_fallbacks: int
    mixed: int | None = None

    def to_json(self, source: Path) -> dict[str, Any]:
        """Returns the content of the index of the file at `source`."""
        attributes = {}
        for name in attribute_names(self.texts):
            values = sorted(set(self.texts[name]))
            number = {value: i for i, value in enumerate(values)}
            attributes[name] = {"values": values, "products": [number[value] for value in self.texts[name]]}
        return {
            "format": FORMAT,
            "source": fingerprint(source),
            "product_ids": self.product_ids.tolist(),
            "row_product": self.row_product.tolist(),
            "decode_fallbacks": self.decode_fallbacks,
            **{name: self.texts[name] for name in FREE_TEXT},
            "attributes": attributes,
        }

    @classmethod
    def from_json(cls, content: Index) -> "Columns":
        """Restores the columns that `to_json` packed.

        Raises:
            ValueError: the columns contradict each other.
        """
        texts = {"title": content["title"], "description": content["description"]}
        for name, column in content["attributes"].items():
            _require_indices(column["products"], len(column["values"]), f"the attribute {name}")
            texts[name] = [column["values"][i] for i in column["products"]]
        product_ids, row_product = (
            np.array(numbers, dtype=np.int64) for numbers in (content["product_ids"], content["row_product"])
        )
        if {len(column) for column in texts.values()} != {len(product_ids)}:
            raise ValueError("its columns differ in length")
        _require_indices(content["row_product"], len(product_ids), "row_product")
        if len(np.unique(row_product)) < len(product_ids) or len(np.unique(product_ids)) < len(product_ids):
            raise ValueError("a product has no image, or the id of another one")
        return cls(product_ids, row_product, texts, content["decode_fallbacks"])


def _require_indices(indices: list[int], length: int, what: str) -> None:
    if indices and not 0 <= min(indices) <= max(indices) < length:
        raise ValueError(f"{what} refers to what it lacks")


class FashionGenProducts:
    """The products of one FashionGen split without images, which the subclasses read.

    Attributes:
        path: the HDF5 file, or the folder of shards.
        columns: product ids, rows and texts, which are also attributes of this object, as `ProductFile` requires.
    """

    def __init__(self, path: Path, columns: Columns):
        self.path = path
        self.columns = columns
        self.product_ids = columns.product_ids
        self.row_product = columns.row_product
        self.texts = columns.texts


def fingerprint(path: Path) -> dict[str, Any]:
    """Returns the name, size and time of a file, which distinguish it from another file of the same name."""
    status = path.stat()
    return {"name": path.name, "bytes": status.st_size, "modified": status.st_mtime_ns}


def write_json(content: dict[str, Any], path: Path) -> Path:
    """Writes `content` to `path` atomically; raises UserError if it cannot be written."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.write("\n")
    return path
