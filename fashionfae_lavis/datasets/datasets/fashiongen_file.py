"""One FashionGen HDF5 file, with its texts in memory and its images on disk.

The file has one row per image: `input_image` (N, H, W, 3) uint8, and text columns (N, 1), which repeat the product's
text in each of its rows.
"""

import json
import logging
import os
from pathlib import Path

import h5py
import numpy as np

from fashionfae_lavis.datasets.datasets.fashiongen_index import Columns, FashionGenProducts, fingerprint, write_json
from fashionfae_lavis.datasets.datasets.fashiongen_shards import INDEX, FashionGenShards, shards_folder
from fashionfae_lavis.errors import UserError

FILE_NAMES = {
    "train": "fashiongen_256_256_train.h5",
    "validation": "fashiongen_256_256_validation.h5",
}
IMAGES, PRODUCTS = "input_image", "input_productID"
# Field of a product's text -> column of the file.
TEXT_COLUMNS = {
    "title": "input_name",
    "description": "input_description",
    "category": "input_category",
    "sub category": "input_subcategory",
    "gender": "input_gender",
    "season": "input_season",
    "composition": "input_composition",
}
ROWS_AT_ONCE = 20_000


class FashionGenFile(FashionGenProducts):
    """The products of an HDF5 file, which groups rows by product id and reads images one at a time.

    A product's texts come from its first row. Each process opens a separate handle for images, so the object can be
    forked and pickled.

    Args:
        path: the HDF5 file.
        use_index: whether to read the texts from the index of `fashionfae prepare fashiongen`, if it fits the file.

    Attributes:
        image_shape: (N, H, W, 3).

    Raises:
        UserError: the file is missing or damaged, lacks a column, or has columns of other shapes.
    """

    def __init__(self, path: str | Path, use_index: bool = True):
        path = Path(path)
        self._images: h5py.Dataset | None = None
        self._opened_by: int | None = None
        with _open(path) as file:
            self.image_shape = _check(file, path)
            columns = _indexed_columns(path, self.image_shape[0]) if use_index else None
            super().__init__(path, columns or _read_columns(file, path))
        if columns is None and self.columns.decode_fallbacks:
            logging.info("%s: %d texts were UTF-8, not ISO-8859-1.", path, self.columns.decode_fallbacks)

    def image(self, row: int) -> np.ndarray:
        """Reads the image in this row, uint8 (H, W, 3)."""
        if self._images is None or self._opened_by != os.getpid():
            self._images = None  # after a fork the parent's handle is closed first, not shared
            self._images, self._opened_by = _open(self.path)[IMAGES], os.getpid()
        try:
            return self._images[row]
        except OSError as error:
            raise _damaged(self.path) from error

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_images": None, "_opened_by": None}


def _read_columns(file: h5py.File, path: Path) -> Columns:
    rows = len(file[IMAGES])
    try:
        product_ids, row_product, first_rows = group_in_order(file[PRODUCTS][:].reshape(rows).astype(np.int64))
        texts, decode_fallbacks, differs = {}, 0, np.zeros(rows, bool)
        for name, key in TEXT_COLUMNS.items():
            column = file[key][:].reshape(rows)
            firsts = column[first_rows]
            for start in range(0, rows, ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                differs[part] |= column[part] != firsts[row_product[part]]
            decoded = [_decode(value) for value in firsts.tolist()]
            texts[name] = [text for text, _ in decoded]
            decode_fallbacks += sum(fallback for _, fallback in decoded)
    except OSError as error:
        raise _damaged(path) from error
    return Columns(product_ids, row_product, texts, decode_fallbacks, mixed=len(np.unique(row_product[differs])))


def _indexed_columns(path: Path, rows: int) -> Columns | None:
    """Returns the columns from the index of exactly this file; None if there is no such index."""
    index = index_path(path)
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        if content["source"] == fingerprint(path):
            columns = Columns.from_json(content)
            return columns if len(columns.row_product) == rows else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        pass
    logging.warning("%s belongs to another file: run `fashionfae prepare fashiongen` to write it again.", index)
    return None


def index_path(path: Path) -> Path:
    """Returns the path of the index, next to the HDF5 file at `path`."""
    return path.with_suffix(".index.json")


def write_index(file: FashionGenFile) -> Path:
    """Writes the index of a file next to it and returns its path; raises UserError if it cannot be written."""
    return write_json(file.columns.to_json(file.path), index_path(file.path))


def open_fashiongen(path: str | Path) -> FashionGenFile | FashionGenShards:
    """Opens the HDF5 file at `path`, or its shards if only they exist."""
    folder = shards_folder(Path(path))
    if not Path(path).exists() and (folder / INDEX).exists():
        return FashionGenShards(folder)
    return FashionGenFile(path)


def group_in_order(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups equal ids.

    Args:
        ids: (N,).

    Returns:
        The P distinct ids in order of first appearance, the index (N,) of each entry among them, and the index (P,) of
        each id's first entry.
    """
    distinct, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse], first[order]


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise UserError(
            f"{path} is missing: request FashionGen, which is under licence, from its owners and put the file there, "
            "or set datasets.fashiongen.build_info.images.storage to its folder, or train on `datasets: "
            "fashiongen_mini`, as projects/fashionfae/pretrain.yaml does."
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "truncated" in str(error):
            raise _damaged(path) from error
        raise UserError(f"{path} is not a readable HDF5 file ({error}): copy the file again.") from error


def _check(file: h5py.File, path: Path) -> tuple[int, ...]:
    """Checks that all columns exist with the right shapes; returns the shape (N, H, W, 3) of the images."""
    needed = (IMAGES, PRODUCTS, *TEXT_COLUMNS.values())
    lacking = [key for key in needed if key not in file]
    if lacking:
        raise UserError(f"{path} lacks the columns {', '.join(lacking)}: use an unmodified FashionGen file.")
    images = file[IMAGES]
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or len(images) == 0:
        raise UserError(
            f"{path}: {IMAGES} must be uint8 of shape (N, height, width, 3), not {images.dtype} {images.shape}: "
            "use an unmodified FashionGen file."
        )
    for key in needed[1:]:
        if file[key].size != len(images):
            raise UserError(
                f"{path}: {key} has shape {file[key].shape} for {len(images)} images: "
                "use an unmodified FashionGen file."
            )
    return images.shape


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is truncated or damaged: copy the file again.")


def _decode(value: bytes | str) -> tuple[str, bool]:
    """Decodes a text and returns whether it was UTF-8.

    The files are ISO-8859-1, in which any bytes are valid text, so decoding never fails. But non-ASCII bytes that are
    also valid UTF-8 almost always are UTF-8.
    """
    if isinstance(value, str):
        return value, False
    if not value.isascii():
        try:
            return value.decode("utf-8"), True
        except UnicodeDecodeError:
            pass
    return value.decode("iso-8859-1"), False
