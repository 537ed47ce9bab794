"""One FashionGen HDF5 file: its texts in memory, its images on disk.

The file has a row per image and, beside `input_image` (N, H, W, 3) uint8, text columns (N, 1) that repeat the
product's text in each of its rows.
"""

import logging
import os
from pathlib import Path

import h5py
import numpy as np

from fashionfae_lavis.errors import UserError

IMAGES, PRODUCTS = "input_image", "input_productID"
# Our names of a product's fields (masking.product_text.FIELDS), and the file's.
TEXT_COLUMNS = {
    "title": "input_name",
    "description": "input_description",
    "category": "input_category",
    "sub category": "input_subcategory",
    "gender": "input_gender",
    "season": "input_season",
    "composition": "input_composition",
}


class FashionGenFile:
    """Products in order of their first row, grouped by product id wherever their rows stand.

    Attributes: `product_ids` (P,) int64; `row_product` (N,) int64, index of the product in each row;
    `texts`, for each field a list of P strings from the product's first row; `decode_fallbacks`, how many
    of those strings were UTF-8 rather than ISO-8859-1. Image rows are read one at a time by `image`, from a
    handle that each process opens for itself, so that the object may be forked and pickled.

    Raises UserError if the file is missing, damaged, lacks a column, or has other shapes.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._images, self._opened_by = None, None
        with _open(self.path) as file:
            rows = _check(file, self.path)
            try:
                ids = file[PRODUCTS][:].reshape(rows).astype(np.int64)
                self.product_ids, self.row_product, first_rows = group_in_order(ids)
                columns = {name: file[key][:].reshape(rows)[first_rows] for name, key in TEXT_COLUMNS.items()}
            except OSError as error:
                raise _damaged(self.path) from error
        self.texts, self.decode_fallbacks = {}, 0
        for name, column in columns.items():
            decoded = [_decode(value) for value in column.tolist()]
            self.texts[name] = [text for text, _ in decoded]
            self.decode_fallbacks += sum(fallback for _, fallback in decoded)
        if self.decode_fallbacks:
            logging.info("%s: %d texts were UTF-8, not ISO-8859-1", self.path, self.decode_fallbacks)

    def image(self, row: int) -> np.ndarray:
        """The image in this row, uint8 (H, W, 3)."""
        if self._opened_by != os.getpid():
            self._images = None  # after a fork the parent's handle is let go first, not shared
            self._images, self._opened_by = _open(self.path)[IMAGES], os.getpid()
        try:
            return self._images[row]
        except OSError as error:
            raise _damaged(self.path) from error

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_images": None, "_opened_by": None}


def group_in_order(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct ids in order of first appearance, the index of each entry's id, each id's first place."""
    distinct, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse], first[order]


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise UserError(
            f"{path} is missing: FashionGen is under licence, ask its owners for it and put the file there, "
            "or set datasets.fashiongen.build_info.images.storage to its folder; without it, "
            "projects/fashionfae/pretrain.yaml runs on datasets: fashiongen_mini"
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "truncated" in str(error):
            raise _damaged(path) from error
        raise UserError(f"{path} is not a readable HDF5 file: {error}") from error


def _check(file: h5py.File, path: Path) -> int:
    """Number of rows of a file that has all that we read, in the right shapes."""
    needed = (IMAGES, PRODUCTS, *TEXT_COLUMNS.values())
    lacking = [key for key in needed if key not in file]
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}: it needs the columns of a FashionGen file")
    images = file[IMAGES]
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or len(images) == 0:
        raise UserError(
            f"{path}: {IMAGES} must be uint8 of shape (N, height, width, 3), not {images.dtype} {images.shape}"
        )
    for key in needed[1:]:
        if file[key].size != len(images):
            raise UserError(f"{path}: {key} has shape {file[key].shape} for {len(images)} images")
    return len(images)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is truncated or damaged: copy the file again")


def _decode(value: bytes | str) -> tuple[str, bool]:
    """Text, and whether it was UTF-8.

    The files are ISO-8859-1, in which any bytes are text, so that a wrong character cannot be noticed; but
    bytes beyond ASCII that are valid UTF-8 hardly ever mean anything else.
    """
    if isinstance(value, str):
        return value, False
    if not value.isascii():
        try:
            return value.decode("utf-8"), True
        except UnicodeDecodeError:
            pass
    return value.decode("iso-8859-1"), False
