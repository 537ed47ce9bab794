"""`fashionfae prepare fashiongen`: checks the two HDF5 files, and writes an index next to each.

The index holds the decoded texts, grouped by product, so that a run need not read 16 columns of padded strings. Images
stay in the HDF5 file, or go into shards (see fashiongen_shards.py).
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES, FashionGenFile, write_index
from fashionfae_lavis.text.product_text import ATTRIBUTES, CLASSES


class Contents(NamedTuple):
    """Statistics of one file.

    Attributes:
        path: the file.
        image_shape: (N, H, W, 3).
        products: number of products.
        views: number of images per product -> number of such products.
        decode_fallbacks: number of texts that were UTF-8 rather than ISO-8859-1.
        missing: field -> number of products without it.
        counts: attribute -> value ("" for none) -> number of products.
        mixed: number of products whose rows have different texts.
    """

    path: Path
    image_shape: tuple[int, ...]
    products: int
    views: dict[int, int]
    decode_fallbacks: int
    missing: dict[str, int]
    counts: dict[str, Counter]
    mixed: int | None


def check_fashiongen(root: str | Path) -> tuple[list[Contents], list[str]]:
    """Checks the training and the validation file in `root`.

    Returns:
        The statistics of each file, and notes about both together.

    Raises:
        UserError: a file is missing or damaged, lacks a column or has columns of other shapes.
    """
    train, validation = (FashionGenFile(Path(root) / name, use_index=False) for name in FILE_NAMES.values())
    found = [_contents(train), _contents(validation)]
    notes = []
    shared = np.intersect1d(train.product_ids, validation.product_ids)
    if len(shared):
        notes.append(
            f"{len(shared)} products are in both files (the first: {shared[0]}), so not all test products are new"
        )
    for name in CLASSES:
        unseen = sorted(found[1].counts[name].keys() - found[0].counts[name].keys() - {""})
        if unseen:
            notes.append(
                f"{name}: training lacks {len(unseen)} classes of validation ({', '.join(unseen[:3])}), which "
                "recognition counts as errors"
            )
    return found, notes


def index_fashiongen(root: str | Path) -> list[Path]:
    """Writes the index of both files and returns their paths.

    Raises:
        UserError: as in `check_fashiongen`, or an index cannot be written.
    """
    return [write_index(FashionGenFile(Path(root) / name, use_index=False)) for name in FILE_NAMES.values()]


def _contents(file: FashionGenFile) -> Contents:
    counts = {name: Counter(file.texts[name]) for name in ATTRIBUTES}
    return Contents(
        path=file.path,
        image_shape=file.image_shape,
        products=len(file.product_ids),
        views=dict(sorted(Counter(np.bincount(file.row_product).tolist()).items())),
        decode_fallbacks=file.columns.decode_fallbacks,
        missing={name: texts.count("") for name, texts in file.texts.items() if "" in texts},
        counts=counts,
        mixed=file.columns.mixed,
    )


def describe(contents: Contents) -> str:
    """Formats the statistics of a file for people, in several lines."""
    rows, height, width, _ = contents.image_shape
    views = ", ".join(f"{products} with {views}" for views, products in contents.views.items())
    missing = ", ".join(f"{name} {products}" for name, products in contents.missing.items()) or "none"
    classes = ", ".join(f"{name} {len(counter.keys() - {''})}" for name, counter in contents.counts.items())
    return (
        f"{contents.path}: {rows} images of {height} x {width} pixels, {contents.products} products\n"
        f"  images per product: {views}\n"
        f"  distinct values: {classes}\n"
        f"  products that lack a field: {missing}\n"
        f"  texts in UTF-8 instead of ISO-8859-1: {contents.decode_fallbacks}\n"
        f"  products whose rows have different texts: {contents.mixed}"
    )
