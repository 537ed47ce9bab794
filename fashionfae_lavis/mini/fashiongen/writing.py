"""Writes a split of FashionGen-Mini as an HDF5 file of FashionGen's schema (16 keys).

Worker processes draw and compress; the calling process only stores, so that memory stays small. Each product
has random streams of its own: the file does not depend on the number of workers.
"""

import zlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from fashionfae_lavis.mini.drawn_data import drawing_bar, require_room
from fashionfae_lavis.mini.fashiongen.attributes import Product
from fashionfae_lavis.mini.fashiongen.copywriting import write_texts
from fashionfae_lavis.mini.fashiongen.drawing import choose_poses, draw_views
from fashionfae_lavis.workers import in_workers

COMPRESSION_LEVEL = 3
BYTES_PER_IMAGE = 36_000  # of 256 x 256 pixels, with a margin; about 27 kB on average


def write_split(
    path: Path, products: list[Product], image_size: int, marks: dict, processes: int | None = None
) -> None:
    """Draws the products into `path`; `marks` become attributes of the file. Raises OSError."""
    poses = [choose_poses(product) for product in products]
    rows = sum(map(len, poses))
    # HDF5 may crash on a full disk, so it is not let go near one.
    require_room(path.parent, rows * round(BYTES_PER_IMAGE * (image_size / 256) ** 2))
    try:
        with h5py.File(path, "w") as file:
            file.attrs.update(marks)
            for name, column in _columns(products, poses).items():
                file.create_dataset(name, data=column if name == "index_2" else column[:, None])
            _write_images(file, rows, _drawn(products, image_size, processes), image_size)
    except RuntimeError as error:  # h5py's report of a file that could not be closed
        raise OSError("drawing was stopped") from error


def _write_images(file: h5py.File, rows: int, drawn: Iterator[list[bytes]], image_size: int) -> None:
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
                # The workers have compressed the chunks already: they bypass the filter.
                images.id.write_direct_chunk((row, 0, 0, 0), view)
                row += 1
            bar.update(len(views))


def fields_of(product: Product) -> dict[str, str]:
    """The text fields of a product, under the names that models read them by."""
    return {
        **write_texts(product),
        "category": product.category,
        "sub category": product.subcategory,
        "gender": product.gender,
        "season": product.season,
        "composition": product.composition,
    }


def _columns(products: list[Product], poses: list[list[str]]) -> dict[str, np.ndarray]:
    """All columns but the images, one entry per view: byte strings in ISO-8859-1 and numbers."""
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


def _drawn(products: list[Product], image_size: int, processes: int | None) -> Iterator[list[bytes]]:
    """The compressed views of each product, in order."""
    return in_workers(partial(_compressed_views, image_size=image_size), products, processes)


def _compressed_views(product: Product, image_size: int) -> list[bytes]:
    return [zlib.compress(view, COMPRESSION_LEVEL) for view in draw_views(product, image_size)]
