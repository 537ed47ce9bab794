"""A FashionGen file as a folder of WebDataset shards, which `fashionfae prepare fashiongen --to shards` writes.

    000000.tar ...   a product is a sample: <number>.0.png, <number>.1.png, ... and <number>.json
    index.json       the file's index (fashiongen_index.py), and "images": for each row [shard, offset, bytes]

The images are PNG, so that they are those of the HDF5 file to the bit. Any reader of WebDataset can go through the tar
files; ours knows from the index where each image lies, and reads it alone.
"""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.datasets.datasets.fashiongen_index import unpack
from fashionfae_lavis.errors import UserError

INDEX = "index.json"


def shards_folder(path: Path) -> Path:
    """Of the HDF5 file at this path."""
    return path.with_suffix(".shards")


def shard_name(number: int) -> str:
    return f"{number:06}.tar"


class FashionGenShards:
    """Has what `FashionGenFile` has, with the same values. Raises UserError if the folder is damaged or unfinished."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            content = json.loads((self.path / INDEX).read_text(encoding="utf-8"))
            unpack(content, self)
            self._places = np.array(content["images"], dtype=np.int64).reshape(len(self.row_product), 3)
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise _unfinished(self.path, error) from error

    def image(self, row: int) -> np.ndarray:
        """The image in this row, uint8 (H, W, 3)."""
        shard, offset, size = self._places[row].tolist()
        try:
            with open(self.path / shard_name(shard), "rb") as file:
                file.seek(offset)
                return np.array(Image.open(io.BytesIO(file.read(size))))
        except (OSError, SyntaxError, ValueError) as error:
            raise _unfinished(self.path / shard_name(shard), error) from error


def _unfinished(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is damaged or unfinished ({error}): run `fashionfae prepare fashiongen --to shards` again, after "
        "deleting it if it is damaged"
    )
