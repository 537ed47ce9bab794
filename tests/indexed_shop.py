"""Products of the tests of indexes."""

import numpy as np
import pyarrow as pa
from PIL import Image

from fashionfae_lavis.search.vectors import Vectors

DIM = 16
COLOURS = ("blue", "red", "women's", None)


def directions(count, seed=0):
    """Unit vectors (count, DIM)."""
    found = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def products(count, seed=0, first=0, images=None, digest="0123456789abcdef", **columns):
    """Vectors of products with the columns title, colour and price. Every fourth product lacks its colour."""
    numbers = range(first, first + count)
    own = {
        "title": [f'👗 "{number}" \\ عربي' for number in numbers],
        "colour": pa.array([COLOURS[number % 4] for number in numbers], pa.string()),
        "price": pa.array([float(number) if number % 5 else None for number in numbers], pa.float64()),
    }
    ids = [f"it's {number:05}" for number in numbers]
    return Vectors.of(ids, images or [""] * count, directions(count, seed), {**own, **columns}, "toy", digest)


def photographs(folder, count):
    """Writes small photographs of one colour each; returns their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number} é.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (60, 30), (number * 20 % 256, 100, 50)).save(path)
    return [str(path) for path in paths]
