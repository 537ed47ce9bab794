"""Training products of a catalogue with their images in WebDataset shards, for object storage or a slow disk.

`fashionfae prepare catalogue --to shards` writes them:

    000000.tar ...   one sample per product: <number>.0.jpg, <number>.1.jpg, ... and <number>.json
    index.json       {"source": <digest of catalogue.jsonl>, "products": [row in the user's table, of each image],
                      "images": [[shard, offset, bytes] of each image]}

The texts are read from the catalogue itself.
"""

from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile
from fashionfae_lavis.datasets.datasets.shards import INDEX, ShardedImages, check_inside, unfinished
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import Int64, read_json

MEND = "run `fashionfae prepare catalogue --to shards` again"


class ShardsIndex(TypedDict):
    """The content of the index of shards."""

    source: str
    products: list[Int64]
    images: list[tuple[Int64, Int64, Int64]]


INDEX_TYPE = TypeAdapter(ShardsIndex)


class CatalogueShards:
    """The products of a `CatalogueFile`, with their images from shards; a `ProductFile` (datasets/protocols.py).

    Args:
        file: the training products, or those of them that have a label.
        folder: the folder of the shards.

    Raises:
        UserError: the folder is damaged, unfinished, or of another catalogue.
    """

    def __init__(self, file: CatalogueFile, folder: Path):
        self.path = folder
        self.product_ids, self.row_product, self.texts = file.product_ids, file.row_product, file.texts
        check_inside(folder / INDEX, MEND)
        content = read_json(folder / INDEX, INDEX_TYPE, MEND)
        if content["source"] != digest(file.path):
            raise UserError(f"{folder} contains shards of another catalogue than {file.path}: {MEND}.")
        kept = np.isin(np.array(content["products"], dtype=np.int64), self.product_ids)
        locations = np.array(content["images"], dtype=np.int64).reshape(-1, 3)
        if len(kept) != len(locations) or kept.sum() != len(self.row_product):
            raise unfinished(folder / INDEX, "it has another number of images than the catalogue", MEND)
        self._images = ShardedImages(folder, locations[kept], MEND, file.enough)

    def image(self, row: int) -> Image.Image:
        """Reads the photograph in this row, RGB; raises UserError if it is damaged."""
        return self._images.image(row)


def digest(path: Path) -> str:
    """Returns a digest of a catalogue's index."""
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()
