"""`fashionfae prepare fashion-mnist`: prepares 70,000 product photographs of 28 x 28 grey pixels as a catalogue.

Fashion-MNIST (arXiv 1708.07747) has negatives of shop photographs, each with a class. The images are inverted to show
products dark on white, and the class gives category, sub category and title. The 60,000 training and 10,000 test images
become the splits `train` and `test`.
"""

import csv
import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.prepare.catalogue import Summary, prepare_catalogue
from fashionfae_lavis.workers import progress_bar

SOURCE = "/usr/share/datasets/fashion-mnist"  # the folder of the Debian package
FILES = {"train": "train", "test": "t10k"}
# By class index: sub category (Fashion-MNIST's name), category, title.
CLASSES = (
    ("T-shirt/top", "Tops", "T-shirt or top"),
    ("Trouser", "Trousers", "Pair of trousers"),
    ("Pullover", "Tops", "Pullover"),
    ("Dress", "Dresses", "Dress"),
    ("Coat", "Outerwear", "Coat"),
    ("Sandal", "Shoes", "Pair of sandals"),
    ("Shirt", "Tops", "Shirt"),
    ("Sneaker", "Shoes", "Pair of sneakers"),
    ("Bag", "Bags", "Bag"),
    ("Ankle boot", "Shoes", "Pair of ankle boots"),
)
LARGEST = 100_000_000  # values in a file; Fashion-MNIST has 47 million
COLUMNS = ("id", "split", "image", "title", "category", "sub category")


def prepare_fashion_mnist(source: str | Path, out: str | Path) -> Summary:
    """Writes the images to `out`/images, their table to `out`/products.csv, and the catalogue next to it.

    Args:
        source: the folder of the four .gz files.
        out: the folder to write into.

    Returns:
        The statistics of the catalogue.

    Raises:
        UserError: a file is missing or damaged, or `out` cannot be written.
    """
    source, out = Path(source), Path(out)
    data = {split: _read_split(source, name) for split, name in FILES.items()}
    make_folder(out)
    with replacing(out / "products.csv") as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        with progress_bar(sum(len(labels) for _, labels in data.values()), "writing images", "image") as bar:
            for split, (images, labels) in data.items():
                for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                    name = f"{split}/{number // 1000:02}/{number:05}.png"
                    path = out / "images" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # Overwrite images, because an interrupted run may have left one half written.
                    Image.fromarray(255 - image).save(path)
                    sub_category, category, title = CLASSES[label]
                    writer.writerow([f"{split}-{number:05}", split, name, title, category, sub_category])
                    bar.update()
    attributes = {"category": "category", "sub category": "sub category"}
    return prepare_catalogue(out / "products.csv", out / "images", out, attributes=attributes, max_bad=0)


def _read_split(source: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads images (N, 28, 28) uint8 and class indices (N,)."""
    images = _read_idx(source / f"{name}-images-idx3-ubyte.gz")
    labels = _read_idx(source / f"{name}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max(initial=0) >= len(CLASSES):
        raise UserError(
            f"{source}: {name}-images of shape {images.shape} and {name}-labels of shape {labels.shape} are not "
            "Fashion-MNIST's: download the four files again."
        )
    return images, labels


def _read_idx(path: Path) -> np.ndarray:
    """Reads the data of an IDX file: two zeros, the type (8 means uint8), the number of axes, their sizes, the data."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing: install the Debian package dataset-fashion-mnist, or name the folder of its four "
            "files with --source."
        )
    try:
        with gzip.open(path) as file:
            zeros, data_type, axes = np.frombuffer(file.read(4), dtype=">u2,u1,u1")[0]
            if zeros or data_type != 8:
                raise ValueError("its type is not uint8")
            shape = np.frombuffer(file.read(4 * int(axes)), dtype=">u4").tolist()
            if math.prod(shape) > LARGEST:
                raise ValueError(f"it holds {math.prod(shape)} values")
            data = np.frombuffer(file.read(math.prod(shape) + 1), dtype=np.uint8)
            return data.reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise UserError(f"{path} is not a readable IDX file ({error}): download it again.") from error
