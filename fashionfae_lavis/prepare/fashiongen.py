"""`fashionfae prepare fashiongen`: check the two HDF5 files, and write an index beside each.

The index has what a run reads of a file beside its images, decoded and grouped by product: a data set opens without
going through 16 columns of padded strings. Images stay in the HDF5 file, or in shards (see fashiongen_shards.py).
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile, write_index
from fashionfae_lavis.text.product_text import ATTRIBUTES, CLASSES

FILES = {"train": "fashiongen_256_256_train.h5", "validation": "fashiongen_256_256_validation.h5"}


class Found(NamedTuple):
    """What one file holds. `counts`: attribute -> its values and how many products have each, "" for none."""

    path: Path
    image_shape: tuple[int, ...]  # rows, height, width, 3
    products: int
    views: dict[int, int]  # images of a product -> how many products have as many
    decode_fallbacks: int
    missing: dict[str, int]  # field -> products without it
    counts: dict[str, Counter]
    mixed: int  # products whose rows do not agree in their texts


def check_fashiongen(root: str | Path) -> tuple[list[Found], list[str]]:
    """What the files in `root` hold, and what a user should know about the two together.

    Raises:
        UserError: a file is missing, damaged, lacks a column or has other shapes.
    """
    files = {split: FashionGenFile(Path(root) / name, use_index=False) for split, name in FILES.items()}
    found = [_look_at(file) for file in files.values()]
    notes = []
    train, validation = files.values()
    shared = np.intersect1d(train.product_ids, validation.product_ids)
    if len(shared):
        notes.append(
            f"{len(shared)} products are in both files (the first: {shared[0]}): the test is not of new products"
        )
    for name in CLASSES:
        unseen = sorted(found[1].counts[name].keys() - found[0].counts[name].keys() - {""})
        if unseen:
            notes.append(f"{name}: {len(unseen)} of validation are not in training ({', '.join(unseen[:3])}): errors")
    return found, notes


def index_fashiongen(root: str | Path) -> list[Path]:
    """Write the index of both files; returns their paths. Errors as above, and UserError where it cannot be written."""
    return [write_index(FashionGenFile(Path(root) / name, use_index=False)) for name in FILES.values()]


def _look_at(file: FashionGenFile) -> Found:
    counts = {name: Counter(file.texts[name]) for name in ATTRIBUTES}
    return Found(
        path=file.path,
        image_shape=file.image_shape,
        products=len(file.product_ids),
        views=dict(sorted(Counter(np.bincount(file.row_product).tolist()).items())),
        decode_fallbacks=file.decode_fallbacks,
        missing={name: texts.count("") for name, texts in file.texts.items() if "" in texts},
        counts=counts,
        mixed=file.mixed,
    )


def describe(found: Found) -> str:
    """For people, in some lines."""
    rows, height, width, _ = found.image_shape
    views = ", ".join(f"{products} with {views}" for views, products in found.views.items())
    missing = ", ".join(f"{name} {products}" for name, products in found.missing.items()) or "none"
    classes = ", ".join(f"{name} {len(counter.keys() - {''})}" for name, counter in found.counts.items())
    return (
        f"{found.path}: {rows} images of {height} x {width} pixels, {found.products} products\n"
        f"  images of a product: {views}\n"
        f"  values: {classes}\n"
        f"  products without a field: {missing}\n"
        f"  texts that were UTF-8, not ISO-8859-1: {found.decode_fallbacks}\n"
        f"  products whose rows do not agree: {found.mixed}"
    )
