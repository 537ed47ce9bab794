"""Tiny files in FashionGen's format."""

import h5py
import numpy as np

# Product ids row by row: 70 has three views that are not adjacent, 30 has one, and the ids are not sorted.
ROWS = [70, 20, 20, 70, 30, 70, 10, 10]


def write(path, ids=ROWS, size=16, **changed):
    """Writes one file; `changed` replaces columns, None leaves one out. Pixels encode the row and the x coordinate."""
    ids = np.array(ids)

    def text(form):
        return np.array([[form.format(i).encode("iso-8859-1")] for i in ids])

    images = np.zeros((len(ids), size, size, 3), np.uint8)
    images[..., 0] = np.arange(len(ids))[:, None, None]
    images[..., 1] = np.arange(size)
    columns = {
        "index": np.arange(len(ids))[:, None],
        "index_2": np.arange(len(ids)),
        "input_brand": text("brand"),
        "input_category": text("TOPS"),
        "input_composition": text("100% cotton"),
        "input_concat_description": text("all of it"),
        "input_department": text("clothing"),
        "input_description": text("Shirt number {}."),
        "input_gender": text("Men"),
        "input_image": images,
        "input_msrpUSD": np.ones((len(ids), 1), np.float32),
        "input_name": text("Shirt {}"),
        "input_pose": text("id_gridfs_1"),
        "input_productID": ids[:, None],
        "input_season": text("SS2017"),
        "input_subcategory": text("SHIRTS"),
    } | changed
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            if column is not None:
                file[name] = column
    return path
