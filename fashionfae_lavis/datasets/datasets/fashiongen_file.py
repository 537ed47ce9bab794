"""One FashionGen HDF5 file, with its texts in memory and its images on disk.

The file has one row per image: `input_image` (N, H, W, 3) uint8, and text columns (N, 1), which repeat the product's
text in each of its rows. HDF5 can also take data from other files, by links, virtual datasets and external storage.
Such a column is refused.
"""

import logging
import math
import os
from pathlib import Path

import h5py
import numpy as np

from fashionfae_lavis.datasets.datasets.fashiongen_index import (
    INDEX_TYPE,
    Columns,
    FashionGenProducts,
    fingerprint,
    write_json,
)
from fashionfae_lavis.datasets.datasets.fashiongen_shards import FashionGenShards, shards_folder
from fashionfae_lavis.datasets.datasets.hdf5_images import HDF5Images
from fashionfae_lavis.datasets.datasets.shards import INDEX
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import open_regular, read_json
from fashionfae_lavis.photographs import UnusableImage, check_size

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
# Limits far above FashionGen's 260,490 rows, so that a small crafted file cannot ask for all memory.
MOST_ROWS = 5_000_000
MOST_COLUMN_BYTES = 2**32  # of a column of texts, which is read in parts
MOST_CHUNK_BYTES = 2**28  # HDF5 decompresses a whole chunk at a time
PART_BYTES = 2**26
# What h5py raises for a damaged file.
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)


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
        self._images: HDF5Images | None = None
        self._opened_by: int | None = None
        with _open(path) as file:
            try:
                self.image_shape = _check(file, path)
                columns = _indexed_columns(path, self.image_shape[0]) if use_index else None
                super().__init__(path, columns or _read_columns(file, path))
            except HDF5_ERRORS as error:
                raise _damaged(path) from error
        if columns is None and self.columns.decode_fallbacks:
            logging.info("%s: %d texts were UTF-8, not ISO-8859-1.", path, self.columns.decode_fallbacks)

    def image(self, row: int) -> np.ndarray:
        """Reads the image in this row, uint8 (H, W, 3)."""
        if self._images is None or self._opened_by != os.getpid():
            self._images = None  # after a fork the parent's handle is closed first, not shared
            self._images = HDF5Images(_column(_open(self.path), IMAGES, self.path))
            self._opened_by = os.getpid()
        try:
            return self._images[row]
        except HDF5_ERRORS as error:
            raise _damaged(self.path) from error

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_images": None, "_opened_by": None}


def _read_columns(file: h5py.File, path: Path) -> Columns:
    rows = len(file[IMAGES])
    product_ids, row_product, first_rows = group_in_order(_read_ids(file[PRODUCTS][:].reshape(rows), path))
    texts, decode_fallbacks, differs = {}, 0, np.zeros(rows, bool)
    for name, key in TEXT_COLUMNS.items():
        column = file[key]
        firsts = np.empty(len(product_ids), column.dtype)
        at_once = max(1, min(ROWS_AT_ONCE, PART_BYTES // column.dtype.itemsize))
        for start in range(0, rows, at_once):
            part = slice(start, min(start + at_once, rows))
            values, products = column[part].reshape(-1), row_product[part]
            begins = first_rows[products] == np.arange(part.start, part.stop)  # the first row of its product
            firsts[products[begins]] = values[begins]
            differs[part] |= values != firsts[products]
        decoded = [_decode(value) for value in firsts.tolist()]
        texts[name] = [text for text, _ in decoded]
        decode_fallbacks += sum(fallback for _, fallback in decoded)
    return Columns(product_ids, row_product, texts, decode_fallbacks, mixed=len(np.unique(row_product[differs])))


def _read_ids(values: np.ndarray, path: Path) -> np.ndarray:
    """Converts product ids to int64; raises UserError if one is not an integer of 64 bits."""
    if not (np.isfinite(values).all() and (np.abs(values.astype(float)) < 2**63).all() and (values % 1 == 0).all()):
        raise UserError(f"{path}: {PRODUCTS} must hold integers: use an unmodified FashionGen file.")
    return values.astype(np.int64)


def _indexed_columns(path: Path, rows: int) -> Columns | None:
    """Returns the columns from the index of exactly this file; None if there is no such index."""
    index = index_path(path)
    if not os.path.lexists(index):
        return None
    try:
        content = read_json(index, INDEX_TYPE, "write it again")
        if content["source"] == fingerprint(path):
            columns = Columns.from_json(content)
            if len(columns.row_product) == rows:
                return columns
    except (UserError, ValueError):
        pass
    logging.warning(
        "%s is damaged or belongs to another file: run `fashionfae prepare fashiongen` to write it again.", index
    )
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
    if not os.path.lexists(path) and os.path.lexists(folder / INDEX):
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
    try:
        with open_regular(path):
            return h5py.File(path, "r")
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: request FashionGen, which is under licence, from its owners and put the file there, "
            "or set datasets.fashiongen.build_info.images.storage to its folder, or train on `datasets: "
            "fashiongen_mini`, as projects/fashionfae/pretrain.yaml does."
        ) from error
    except HDF5_ERRORS as error:
        if "truncated" in str(error):
            raise _damaged(path) from error
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} is not a readable HDF5 file ({reason}): copy the file again.") from error


def _check(file: h5py.File, path: Path) -> tuple[int, ...]:
    """Checks that all columns exist with the right types and shapes; returns the shape (N, H, W, 3) of the images."""
    needed = (IMAGES, PRODUCTS, *TEXT_COLUMNS.values())
    lacking = [key for key in needed if not file.id.links.exists(key.encode())]
    if lacking:
        raise UserError(f"{path} lacks the columns {', '.join(lacking)}: use an unmodified FashionGen file.")
    images = _column(file, IMAGES, path)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or images.size == 0:
        raise UserError(
            f"{path}: {IMAGES} must be uint8 of shape (N, height, width, 3), not {images.dtype} {images.shape}: "
            "use an unmodified FashionGen file."
        )
    try:
        check_size(images.shape[2], images.shape[1])
        if len(images) > MOST_ROWS:
            raise UnusableImage(f"has {len(images)} rows, more than {MOST_ROWS:,}")
    except UnusableImage as error:
        raise UserError(f"{path}: {IMAGES} {error}: use an unmodified FashionGen file.") from error
    for key in needed[1:]:
        column = _column(file, key, path)
        if column.shape not in ((len(images),), (len(images), 1)):
            raise UserError(
                f"{path}: {key} has shape {column.shape} for {len(images)} images: use an unmodified FashionGen file."
            )
        is_text = h5py.check_string_dtype(column.dtype) is not None
        if is_text != (key != PRODUCTS) or not (is_text or column.dtype.kind in "iuf"):
            wanted = "numbers" if key == PRODUCTS else "texts"
            raise UserError(f"{path}: {key} must hold {wanted}, not {column.dtype}: use an unmodified FashionGen file.")
        if column.size * column.dtype.itemsize > MOST_COLUMN_BYTES:
            raise UserError(
                f"{path}: {key} has texts of {column.dtype.itemsize:,} bytes: use an unmodified FashionGen file."
            )
    return images.shape


def _column(file: h5py.File, key: str, path: Path) -> h5py.Dataset:
    """Returns a column, which must exist.

    Raises:
        UserError: its data are not in this file, or are in chunks that are too large to decompress.
    """
    column = None
    if file.id.links.get_info(key.encode()).type == h5py.h5l.TYPE_HARD:  # asks for the link without following it
        column = file[key]
    if not isinstance(column, h5py.Dataset) or column.is_virtual or column.external:
        raise UserError(
            f"{path}: {key} is not a plain dataset in this file, and may lead to another file: use an unmodified "
            "FashionGen file."
        )
    if column.chunks and math.prod(column.chunks) * column.dtype.itemsize > MOST_CHUNK_BYTES:
        raise UserError(f"{path}: {key} has chunks of {column.chunks}: use an unmodified FashionGen file.")
    return column


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
