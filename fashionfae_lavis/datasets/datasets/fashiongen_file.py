"""One FashionGen HDF5 file: its texts in memory, its images on disk.

The file has a row per image and, beside `input_image` (N, H, W, 3) uint8, text columns (N, 1) that repeat the
product's text in each of its rows.
"""

import json
import logging
import os
from pathlib import Path

import h5py
import numpy as np

from fashionfae_lavis.datasets.datasets.fashiongen_index import pack, source_of, unpack, write_json
from fashionfae_lavis.datasets.datasets.fashiongen_shards import INDEX, FashionGenShards, shards_folder
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
ROWS_AT_ONCE = 20_000


class FashionGenFile:
    """Products in order of their first row, grouped by product id wherever their rows stand.

    Attributes: `product_ids` (P,) int64; `row_product` (N,) int64, index of the product in each row;
    `texts`, for each field a list of P strings from the product's first row; `decode_fallbacks`, how many
    of those strings were UTF-8 rather than ISO-8859-1. Image rows are read one at a time by `image`, from a
    handle that each process opens for itself, so that the object may be forked and pickled.

    Where `fashionfae prepare fashiongen` has written an index of the file, the texts come from it; without `use_index`
    they come from the file, and `mixed` says of how many products the rows do not agree in them.

    Raises UserError if the file is missing, damaged, lacks a column, or has other shapes.
    """

    def __init__(self, path: str | Path, use_index: bool = True):
        self.path = Path(path)
        self._images, self._opened_by = None, None
        with _open(self.path) as file:
            self.image_shape = _check(file, self.path)
            if use_index and self._read_index():
                return
            try:
                self._read_texts(file)
            except OSError as error:
                raise _damaged(self.path) from error
        if self.decode_fallbacks:
            logging.info("%s: %d texts were UTF-8, not ISO-8859-1", self.path, self.decode_fallbacks)

    def _read_texts(self, file: h5py.File) -> None:
        rows = self.image_shape[0]
        self.product_ids, self.row_product, first_rows = group_in_order(
            file[PRODUCTS][:].reshape(rows).astype(np.int64)
        )
        self.texts, self.decode_fallbacks, differs = {}, 0, np.zeros(rows, bool)
        for name, key in TEXT_COLUMNS.items():
            column = file[key][:].reshape(rows)
            firsts = column[first_rows]
            for start in range(0, rows, ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                differs[part] |= column[part] != firsts[self.row_product[part]]
            decoded = [_decode(value) for value in firsts.tolist()]
            self.texts[name] = [text for text, _ in decoded]
            self.decode_fallbacks += sum(fallback for _, fallback in decoded)
        self.mixed = len(np.unique(self.row_product[differs]))

    def _read_index(self) -> bool:
        """Whether there was an index of this very file."""
        path = index_path(self.path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["source"] == source_of(self.path):
                unpack(content, self)
                return len(self.row_product) == self.image_shape[0]
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            pass
        logging.warning("%s is of another file: `fashionfae prepare fashiongen` writes it anew", path)
        return False

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


def index_path(path: Path) -> Path:
    """Beside the HDF5 file at this path."""
    return path.with_suffix(".index.json")


def write_index(file: FashionGenFile) -> Path:
    """Write the index of this file beside it; UserError where that cannot be."""
    return write_json(pack(file), index_path(file.path))


def open_fashiongen(path: str | Path) -> "FashionGenFile | FashionGenShards":
    """The HDF5 file at this path, or its shards where only they are there."""
    folder = shards_folder(Path(path))
    if not Path(path).exists() and (folder / INDEX).exists():
        return FashionGenShards(folder)
    return FashionGenFile(path)


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


def _check(file: h5py.File, path: Path) -> tuple[int, ...]:
    """Shape of the images (rows first) of a file that has all that we read, in the right shapes."""
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
    return images.shape


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
