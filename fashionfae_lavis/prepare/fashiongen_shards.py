"""`fashionfae prepare fashiongen --to shards`: writes the images and texts of an HDF5 file as WebDataset tar files.

The bytes depend only on the HDF5 file.
"""

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.fashiongen_index import FORMAT, fingerprint, write_json
from fashionfae_lavis.datasets.datasets.fashiongen_shards import shards_folder
from fashionfae_lavis.datasets.datasets.shards import INDEX
from fashionfae_lavis.prepare.shards import write_missing_shards, write_shard

PRODUCTS = 500  # products per shard: about 2,000 images and 200 MB of FashionGen


def write_shards(path: str | Path, out: str | Path, products: int = PRODUCTS) -> Path:
    """Writes the shards of the HDF5 file at `path` into a folder below `out`.

    Args:
        path: the HDF5 file.
        out: the folder to write into.
        products: number of products per shard.

    Returns:
        The folder of the shards.

    Raises:
        UserError: the file cannot be read, the shards cannot be written, or the folder has shards of another file.
    """
    file = FashionGenFile(path)
    folder = Path(out) / shards_folder(file.path).name
    plan = {"format": FORMAT, "source": fingerprint(file.path), "products of a shard": products}
    rows = np.split(np.argsort(file.row_product, kind="stable"), np.cumsum(np.bincount(file.row_product))[:-1])
    shards = [range(start, min(start + products, len(rows))) for start in range(0, len(rows), products)]
    images = [
        [_image_name(product, view) for product in shard for view in range(len(rows[product]))] for shard in shards
    ]
    write = partial(_write_shard, file=file, rows=rows, folder=folder, shards=shards)
    locations = np.empty((len(file.row_product), 3), dtype=np.int64)
    locations[np.concatenate(rows)] = write_missing_shards(folder, plan, images, write, "--out")
    write_json({**file.columns.to_json(file.path), "images": locations.tolist()}, folder / INDEX)
    return folder


def _write_shard(number: int, file: FashionGenFile, rows: list[np.ndarray], folder: Path, shards: list[range]) -> str:
    """Writes one shard, in a worker process; returns an error message, "" for none."""
    return write_shard(folder, number, _members(file, rows, shards[number]))


def _members(file: FashionGenFile, rows: list[np.ndarray], products: range) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a shard, with the images of a product before its texts."""
    for product in products:
        for view, row in enumerate(rows[product]):
            png = io.BytesIO()
            Image.fromarray(file.image(int(row))).save(png, "PNG", compress_level=3)
            yield _image_name(product, view), png.getvalue()
        texts = {name: column[product] for name, column in file.texts.items()}
        content = {"product_id": int(file.product_ids[product]), "rows": rows[product].tolist(), **texts}
        yield f"{product:08}.json", json.dumps(content, ensure_ascii=False).encode()


def _image_name(product: int, view: int) -> str:
    return f"{product:08}.{view}.png"
