"""FashionGen-Mini: a fashion dataset in FashionGen's file format, drawn on first use.

Products differ in attributes that their pictures show and their texts name. `attributes` samples them, `drawing` draws
the pictures, `descriptions` writes the texts, and `hdf5_file` stores both.
"""

import itertools
import os
from pathlib import Path
from typing import Any

import h5py

from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES
from fashionfae_lavis.mini.drawn_data import drawing_into
from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, VISIBLE, sample_products
from fashionfae_lavis.mini.fashiongen.hdf5_file import write_split
from fashionfae_lavis.mini.fashiongen.words import GARMENT_NAMES, VALUE_WORDS
from fashionfae_lavis.text.product_text import normalise

__all__ = ["ATTRIBUTE_WORDS", "FILE_NAMES", "prepare"]

# Increase this with every change of the pictures or texts. Files of another version are drawn again.
GENERATOR_VERSION = 3
# Visible attribute -> the single words, after normalisation, that name its values in titles and descriptions.
ATTRIBUTE_WORDS = {name: tuple(" ".join(VALUE_WORDS[name].values()).split()) for name in VISIBLE}
# The same for the garment, which the prompts of category and sub category also name.
_CATEGORIES = (garment.category for garment in GARMENTS.values())
_GARMENT_WORDS = (*GARMENTS, *_CATEGORIES, *itertools.chain(*GARMENT_NAMES.values()))
ATTRIBUTE_WORDS["garment"] = tuple(dict.fromkeys(normalise(" ".join(_GARMENT_WORDS)).split()))


def prepare(
    folder: Path,
    train_products: int = 3000,
    validation_products: int = 1020,
    image_size: int = 256,
    seed: int = 0,
) -> None:
    """Draws both files into `folder`, about three images per product, unless they exist already.

    A file gets its final name only when it is complete. If several processes call this at the same time, one draws and
    the others wait.

    Args:
        folder: the folder to draw into.
        train_products, validation_products: number of products in each file.
        image_size: width and height of an image in pixels.
        seed: seed of the products.

    Raises:
        UserError: the folder cannot be written to, or has too little free space.
    """
    folder = Path(folder)
    recipes = {
        folder / FILE_NAMES[split]: {
            "generator_version": GENERATOR_VERSION,
            "split": split,
            "products": count,
            "image_size": image_size,
            "seed": seed,
        }
        for split, count in (("train", train_products), ("validation", validation_products))
    }
    if all(_is_complete(path, recipe) for path, recipe in recipes.items()):
        return
    with drawing_into(folder, "FashionGen-Mini"):
        for path, recipe in recipes.items():
            _write_once(path, recipe)


def _write_once(path: Path, recipe: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # left by a run that was killed
    if _is_complete(path, recipe):
        return
    products = sample_products(recipe["split"], recipe["products"], recipe["seed"])
    try:
        write_split(temporary, products, recipe["image_size"], recipe)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_complete(path: Path, recipe: dict[str, Any]) -> bool:
    """Returns whether the file exists, opens, and was drawn by this recipe, which its attributes record."""
    try:
        with h5py.File(path, "r") as file:
            return {name: file.attrs.get(name) for name in recipe} == recipe
    except OSError:
        return False
