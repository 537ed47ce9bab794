"""A FashionGen file as a folder of WebDataset shards, written by `fashionfae prepare fashiongen --to shards`.

    000000.tar ...   one sample per product: <number>.0.png, <number>.1.png, ... and <number>.json
    index.json       the file's index (see fashiongen_index.py), plus "images": [shard, offset, bytes] for each row

The images are PNG and keep the exact pixels of the HDF5 file. Any WebDataset reader can stream the tar files.
`FashionGenShards` looks up an image in the index and reads only its bytes.
"""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.datasets.datasets.fashiongen_index import Columns, FashionGenProducts
from fashionfae_lavis.errors import UserError

INDEX = "index.json"


def shards_folder(path: Path) -> Path:
    """Returns the folder that holds the shards of the HDF5 file at `path`."""
    return path.with_suffix(".shards")


def shard_name(number: int) -> str:
    """Returns the file name of a shard."""
    return f"{number:06}.tar"


class FashionGenShards(FashionGenProducts):
    """The products in a folder of shards, with the same values as `FashionGenFile`.

    Raises:
        UserError: the folder is damaged or unfinished.
    """

    def __init__(self, path: str | Path):
        path = Path(path)
        try:
            content = json.loads((path / INDEX).read_text(encoding="utf-8"))
            columns = Columns.from_json(content)
            self._locations = np.array(content["images"], dtype=np.int64).reshape(len(columns.row_product), 3)
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise _unfinished(path, error) from error
        super().__init__(path, columns)

    def image(self, row: int) -> np.ndarray:
        """Reads the image in this row, uint8 (H, W, 3)."""
        shard, offset, size = self._locations[row].tolist()
        try:
            with open(self.path / shard_name(shard), "rb") as file:
                file.seek(offset)
                return np.array(Image.open(io.BytesIO(file.read(size))))
        except (OSError, SyntaxError, ValueError) as error:
            raise _unfinished(self.path / shard_name(shard), error) from error


def _unfinished(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is damaged or unfinished ({error}): delete it if it is damaged, and run `fashionfae prepare "
        "fashiongen --to shards` again."
    )
