"""`fashionfae prepare catalogue --to shards`: writes the training products of a catalogue as WebDataset tar files."""

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile, read_catalogue
from fashionfae_lavis.datasets.datasets.catalogue_shards import digest
from fashionfae_lavis.datasets.datasets.fashiongen_index import write_json
from fashionfae_lavis.datasets.datasets.shards import INDEX
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import ENOUGH
from fashionfae_lavis.prepare.shards import write_missing_shards, write_shard

FORMAT = 1
PRODUCTS = 500  # products per shard
QUALITY = 95  # of the JPEG files


def write_catalogue_shards(root: str | Path, folder: str | Path, products: int = PRODUCTS) -> Path:
    """Writes the training products of a prepared catalogue.

    Images become JPEG, at most `ENOUGH` pixels on the shorter side, which is more than any recipe uses.

    Args:
        root: the folder of the catalogue.
        folder: the folder to write into.
        products: number of products per shard.

    Returns:
        The folder of the shards.

    Raises:
        UserError: the catalogue or an image cannot be read, it has no training products, the shards cannot be written,
            or the folder has shards of another catalogue.
    """
    folder = Path(folder)
    file = read_catalogue(root).get("train")
    if file is None:
        raise UserError(f"{root} has no training products, which --to shards writes: leave it out.")
    source = digest(file.path)
    rows = np.split(np.arange(len(file.row_product)), np.cumsum(np.bincount(file.row_product))[:-1])
    shards = [range(start, min(start + products, len(rows))) for start in range(0, len(rows), products)]
    names = [[_image_name(product, view) for view, _ in enumerate(views)] for product, views in enumerate(rows)]
    images = [[name for product in shard for name in names[product]] for shard in shards]
    write = partial(_write_shard, file=file, rows=rows, folder=folder, shards=shards)
    plan = {"format": FORMAT, "source": source, "products of a shard": products}
    locations = write_missing_shards(folder, plan, images, write, "--shards")
    of_images = file.product_ids[file.row_product].tolist()
    return write_json({"source": source, "products": of_images, "images": locations}, folder / INDEX).parent


def _write_shard(number: int, file: CatalogueFile, rows: list[np.ndarray], folder: Path, shards: list[range]) -> str:
    """Writes one shard, in a worker process; returns an error message, "" for none."""
    return write_shard(folder, number, _members(file, rows, shards[number]))


def _members(file: CatalogueFile, rows: list[np.ndarray], products: range) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a shard, with the images of a product before its texts."""
    for product in products:
        for view, row in enumerate(rows[product]):
            yield _image_name(product, view), _jpeg(file.image(int(row)))
        texts = {name: column[product] for name, column in file.texts.items()}
        content = {"product_id": int(file.product_ids[product]), **texts}
        yield f"{product:08}.json", json.dumps(content, ensure_ascii=False).encode()


def _jpeg(image: Image.Image) -> bytes:
    """Returns an image as JPEG, with a shorter side of at most `ENOUGH` pixels."""
    scale = ENOUGH / min(image.size)
    if scale < 1:
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY, subsampling=0)
    return content.getvalue()


def _image_name(product: int, view: int) -> str:
    return f"{product:08}.{view}.jpg"
