"""A FashionGen file as a folder of WebDataset shards, written by `fashionfae prepare fashiongen --to shards`.

    000000.tar ...   one sample per product: <number>.0.png, <number>.1.png, ... and <number>.json
    index.json       the file's index (see fashiongen_index.py), plus "images": [shard, offset, bytes] for each row

The images are PNG and keep the exact pixels of the HDF5 file.
"""

from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from fashionfae_lavis.datasets.datasets.fashiongen_index import Columns, FashionGenProducts, Index
from fashionfae_lavis.datasets.datasets.shards import INDEX, ShardedImages, check_inside, unfinished
from fashionfae_lavis.files import Int64, read_json

MEND = "delete it if it is damaged, and run `fashionfae prepare fashiongen --to shards` again"


class ShardsIndex(Index):
    """The content of the index of shards."""

    images: list[tuple[Int64, Int64, Int64]]  # shard, offset and bytes of each row's image


INDEX_TYPE = TypeAdapter(ShardsIndex)


def shards_folder(path: Path) -> Path:
    """Returns the folder that holds the shards of the HDF5 file at `path`."""
    return path.with_suffix(".shards")


class FashionGenShards(FashionGenProducts):
    """The products in a folder of shards, with the same values as `FashionGenFile`.

    Raises:
        UserError: the folder is damaged or unfinished.
    """

    def __init__(self, path: str | Path):
        path = Path(path)
        check_inside(path / INDEX, MEND)
        content = read_json(path / INDEX, INDEX_TYPE, MEND)
        try:
            columns = Columns.from_json(content)
            locations = np.array(content["images"], dtype=np.int64).reshape(len(columns.row_product), 3)
        except ValueError as error:
            raise unfinished(path / INDEX, error, MEND) from error
        super().__init__(path, columns)
        self._images = ShardedImages(path, locations, MEND)

    def image(self, row: int) -> np.ndarray:
        """Reads the image in this row, uint8 (H, W, 3)."""
        return np.array(self._images.image(row))
