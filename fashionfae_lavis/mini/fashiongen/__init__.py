"""FashionGen-Mini: a drawn fashion data set in FashionGen's file format, made on this machine when needed.

Products differ in attributes that can be seen and that their texts name: see `attributes`, `drawing` and
`copywriting`.
"""

import itertools
import os
from pathlib import Path

import h5py

from fashionfae_lavis.mini.drawn_data import drawing_into
from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, VISIBLE, sample_products
from fashionfae_lavis.mini.fashiongen.wording import GARMENT_NAMES, VALUE_WORDS
from fashionfae_lavis.mini.fashiongen.writing import write_split
from fashionfae_lavis.text.product_text import normalise

__all__ = ["ATTRIBUTE_WORDS", "FILE_NAMES", "prepare"]

# Counts every change of what is drawn or written: files of another version are made anew.
GENERATOR_VERSION = 3
FILE_NAMES = {
    "train": "fashiongen_256_256_train.h5",
    "validation": "fashiongen_256_256_validation.h5",
}
# Visible attribute -> the single words, after normalisation, that name its values in titles and descriptions.
ATTRIBUTE_WORDS = {name: tuple(" ".join(VALUE_WORDS[name].values()).split()) for name in VISIBLE}
# The same for the kind of garment, in the prompts of category and sub category too.
_KINDS = (*GARMENTS, *(garment.category for garment in GARMENTS.values()), *itertools.chain(*GARMENT_NAMES.values()))
ATTRIBUTE_WORDS["garment"] = tuple(dict.fromkeys(normalise(" ".join(_KINDS)).split()))


def prepare(
    folder: Path,
    train_products: int = 3000,
    validation_products: int = 1020,
    image_size: int = 256,
    seed: int = 0,
) -> None:
    """Draws both files into `folder`, about three images a product, unless they are there already.

    A file appears under its name only when it is whole. Of processes that call this at the same time one
    draws and the others wait. Raises UserError when the folder cannot be written or has too little room.
    """
    folder = Path(folder)
    wanted = {
        folder / FILE_NAMES[split]: {
            "generator_version": GENERATOR_VERSION,
            "split": split,
            "products": count,
            "image_size": image_size,
            "seed": seed,
        }
        for split, count in (("train", train_products), ("validation", validation_products))
    }
    if all(_is_whole(path, marks) for path, marks in wanted.items()):
        return
    with drawing_into(folder, "FashionGen-Mini"):
        for path, marks in wanted.items():
            _write_once(path, marks)


def _write_once(path: Path, marks: dict) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # left by a run that was killed
    if _is_whole(path, marks):
        return
    products = sample_products(marks["split"], marks["products"], marks["seed"])
    try:
        write_split(temporary, products, marks["image_size"], marks)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_whole(path: Path, marks: dict) -> bool:
    """True when the file is there, opens, and was made by this recipe."""
    try:
        with h5py.File(path, "r") as file:
            return {name: file.attrs.get(name) for name in marks} == marks
    except OSError:
        return False
