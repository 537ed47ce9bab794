"""A FashionGen file as a folder of WebDataset shards, written by `fashionfae prepare fashiongen --to shards`.

    000000.tar ...   one sample per product: <number>.0.png, <number>.1.png, ... and <number>.json
    index.json       the file's index (see fashiongen_index.py), plus "images": [shard, offset, bytes] for each row

The images are PNG and keep the exact pixels of the HDF5 file. Any WebDataset reader can stream the tar files.
`FashionGenShards` looks up an image in the index and reads only its bytes.
"""

import io
import os
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from fashionfae_lavis.datasets.datasets.fashiongen_index import Columns, FashionGenProducts, Index
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import Int64, open_regular, read_json
from fashionfae_lavis.photographs import UnusableImage, decode_photograph, is_inside

INDEX = "index.json"
MOST_BYTES = 2**28  # of an image in a shard
MEND = "delete it if it is damaged, and run `fashionfae prepare fashiongen --to shards` again"


class ShardsIndex(Index):
    """The content of the index of shards."""

    images: list[tuple[Int64, Int64, Int64]]  # shard, offset and bytes of each row's image


INDEX_TYPE = TypeAdapter(ShardsIndex)


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
        _check_inside(path / INDEX)
        content = read_json(path / INDEX, INDEX_TYPE, MEND)
        try:
            columns = Columns.from_json(content)
            self._locations = np.array(content["images"], dtype=np.int64).reshape(len(columns.row_product), 3)
        except ValueError as error:
            raise _unfinished(path / INDEX, error) from error
        super().__init__(path, columns)
        self._check_locations()

    def _check_locations(self) -> None:
        """Raises UserError if a shard is missing, or the index refers to more than a shard has."""
        shards, offsets, sizes = self._locations.T
        for shard in np.unique(shards).tolist():
            path = self.path / shard_name(shard)
            _check_inside(path)
            try:
                with open_regular(path) as file:
                    end = os.fstat(file.fileno()).st_size
            except OSError as error:
                raise _unfinished(path, error.strerror) from error
            rows = shards == shard
            if (offsets[rows] < 0).any() or (offsets[rows] > end - sizes[rows]).any():
                raise _unfinished(path, f"{INDEX} refers to more than its {end} bytes")
        if (sizes <= 0).any() or (sizes > MOST_BYTES).any():
            raise _unfinished(self.path / INDEX, f"an image has none or more than {MOST_BYTES} bytes")

    def image(self, row: int) -> np.ndarray:
        """Reads the image in this row, uint8 (H, W, 3)."""
        shard, offset, size = self._locations[row].tolist()
        path = self.path / shard_name(shard)
        try:
            with open_regular(path) as file:
                file.seek(offset)
                return np.array(decode_photograph(io.BytesIO(file.read(size))))
        except OSError as error:
            raise _unfinished(path, error.strerror) from error
        except UnusableImage as error:
            raise _unfinished(path, f"the image of row {row} {error}") from error


def _check_inside(path: Path) -> None:
    """Raises UserError if a file of a folder of shards is a link to a file elsewhere."""
    if not is_inside(path, path.parent):
        raise _unfinished(path, "it is a link out of its folder")


def _unfinished(path: Path, reason: object) -> UserError:
    return UserError(f"{path} is damaged or unfinished ({reason}): {MEND}.")
