"""Writing of a FashionGen-Mini split as an HDF5 file with FashionGen's 16 keys.

Worker processes draw and compress, and the calling process only stores, so memory stays small. Each product has
separate random streams, so the file does not depend on the number of workers.
"""

import zlib
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fashionfae_lavis.mini.drawn_data import drawing_bar, require_room
from fashionfae_lavis.mini.fashiongen.attributes import Product
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.mini.fashiongen.drawing import choose_poses, draw_views
from fashionfae_lavis.workers import in_workers

COMPRESSION_LEVEL = 3
BYTES_PER_IMAGE = 36_000  # for 256 x 256 pixels; the average is about 27 kB


def write_split(
    path: Path, products: list[Product], image_size: int, recipe: dict[str, Any], processes: int | None = None
) -> None:
    """Draws the products into `path`.

    Args:
        path: the file to write.
        products: the products of one split.
        image_size: width and height of an image in pixels.
        recipe: settings to record as attributes of the file.
        processes: number of workers (default: one per processor, up to 8).

    Raises:
        OSError: the file cannot be written, or there is too little free space.
    """
    poses = [choose_poses(product) for product in products]
    rows = sum(map(len, poses))
    # HDF5 may crash on a full disk, so check the free space first.
    require_room(path.parent, rows * round(BYTES_PER_IMAGE * (image_size / 256) ** 2))
    try:
        with h5py.File(path, "w") as file:
            file.attrs.update(recipe)
            for name, column in _columns(products, poses).items():
                file.create_dataset(name, data=column if name == "index_2" else column[:, None])
            _write_images(file, rows, _drawn(products, image_size, processes), image_size)
    except RuntimeError as error:  # raised by h5py for a file that it could not close
        raise OSError("drawing was stopped") from error


def _write_images(file: h5py.File, rows: int, drawn: Generator[list[bytes], None, None], image_size: int) -> None:
    shape = (rows, image_size, image_size, 3)
    images = file.create_dataset(
        "input_image", shape, "uint8", chunks=(1, *shape[1:]), compression="gzip",
        compression_opts=COMPRESSION_LEVEL,
    )  # fmt: skip
    row = 0
    name = Path(file.filename).name.removesuffix(".tmp")
    with closing(drawn), drawing_bar(rows, name) as bar:
        for views in drawn:
            for view in views:
                # The workers have already compressed the chunks, so they bypass the filter.
                images.id.write_direct_chunk((row, 0, 0, 0), view)
                row += 1
            bar.update(len(views))


def _columns(products: list[Product], poses: list[list[str]]) -> dict[str, np.ndarray]:
    """Returns all columns except the images, one entry per view: byte strings in ISO-8859-1, and numbers."""
    views = [len(names) for names in poses]
    fields = [fields_of(product) for product in products]

    def text(values: list[str]) -> np.ndarray:
        return np.repeat(np.array([value.encode("iso-8859-1") for value in values]), views)

    rows = np.arange(sum(views))
    return {
        "index": rows,
        "index_2": rows,
        "input_brand": text([product.brand for product in products]),
        "input_category": text([field["category"] for field in fields]),
        "input_composition": text([field["composition"] for field in fields]),
        "input_concat_description": text([f"{field['title']}. {field['description']}" for field in fields]),
        "input_department": text(["CLOTHING"] * len(products)),
        "input_description": text([field["description"] for field in fields]),
        "input_gender": text([field["gender"] for field in fields]),
        "input_msrpUSD": np.repeat(np.array([product.price for product in products], "float32"), views),
        "input_name": text([field["title"] for field in fields]),
        "input_pose": np.array([pose.encode() for names in poses for pose in names]),
        "input_productID": np.repeat([product.product_id for product in products], views),
        "input_season": text([field["season"] for field in fields]),
        "input_subcategory": text([field["sub category"] for field in fields]),
    }


def _drawn(products: list[Product], image_size: int, processes: int | None) -> Generator[list[bytes], None, None]:
    """Draws the compressed views of each product, in order."""
    return in_workers(partial(_compressed_views, image_size=image_size), products, processes)


def _compressed_views(product: Product, image_size: int) -> list[bytes]:
    return [zlib.compress(view.tobytes(), COMPRESSION_LEVEL) for view in draw_views(product, image_size)]
