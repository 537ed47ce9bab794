"""FashionViL's preprocessed layout: one json file with the products of a split, next to the folder of their images.

    <dataset>/<split>_info.json   [{"images": [<path>, ...], "title": ..., "description": ..., "id": ..., ...}, ...]
    <dataset>/<folder>/<path>     the folder is called `images`, like the split, or `women` (Fashion200k's archive)

The layout is taken from public code that reads it: FashionViL's (BrandonHanx/mmf, BrandonHanx/FAME-ViL) and S-CLIP's
(alinlab/s-clip, custom/data.py). It has not been tested on the original files, so unknown keys are ignored, and only
`images` and `title` are mandatory. The files do not give the words for the numbers `attributes_id`, `category_id` and
`subcategory_id`, so these make no prompts.
"""

import json
import logging
import os
from pathlib import Path

from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import read_json_list
from fashionfae_lavis.photographs import is_inside

# Key that holds words -> name of the attribute in prompts, in the order of the prompts.
ATTRIBUTES = {
    "category": "category",
    "subcategory": "sub category",
    "gender": "gender",
    "season": "season",
    "composition": "composition",
    "color": "colour",
}
CLASSES_IN_PATHS = ("category", "sub category")  # Fashion200k: <category>/<sub category>/.../<file>


def info_path(folder: Path, split: str) -> Path:
    """Returns the path of the json file of a split (train, val or test)."""
    return folder / f"{split}_info.json"


def read_fashionvil(
    folder: Path, split: str, classes_in_paths: bool = False, allow_missing: bool = False
) -> CatalogueFile:
    """Reads the products of one split, in the file's order, with the attributes that at least one of them has.

    Args:
        folder: the dataset's folder, such as `BigFACAD`.
        split: train, val or test.
        classes_in_paths: whether to read category and sub category from the path of a product's first image.
        allow_missing: whether to leave out missing images, and products without any image.

    Raises:
        UserError: the file or the image folder is missing, or the file is damaged; an entry lacks a mandatory key; an
            image is missing and `allow_missing` is off; no product is left.
    """
    path = info_path(folder, split)
    entries = _read_list(path)
    images = _image_folder(folder, split)
    products = [_product(entry, number, path, classes_in_paths) for number, entry in enumerate(entries)]
    if any(product["row"] is None for product in products):  # not all ids are numbers: positions serve as ids
        for number, product in enumerate(products):
            product["row"] = number
    products = _with_images(products, images, path, allow_missing)
    names = [name for name in ATTRIBUTES.values() if any(name in product["fields"] for product in products)]
    return CatalogueFile(path, images, names, products, mend="copy the file again")


def _read_list(path: Path) -> list:
    if not os.path.lexists(path):
        raise UserError(
            f"{path} is missing: put it there (github.com/BrandonHanx/mmf links to FashionViL's preprocessed files), "
            f"or set `build_info.images.storage` of the dataset to the folder that contains {path.parent.name}."
        )
    return read_json_list(path, "FashionViL's list of products")


def _image_folder(folder: Path, split: str) -> Path:
    names = ("images", split, "women")
    found = next((folder / name for name in names if os.path.isdir(folder / name)), None)
    if found is None:
        raise UserError(
            f"{folder} has no image folder for {info_path(folder, split).name} ({', '.join(names)}): request the "
            "images, which FashionViL does not distribute, from the owners of the dataset and put them there."
        )
    return found


def _product(entry, number: int, path: Path, classes_in_paths: bool) -> dict:
    """Converts an entry to a product of `CatalogueFile`, whose row is the id, or None if the id is not a number."""
    where = f"{path}: entry {number} (from 0)"
    if not isinstance(entry, dict):
        raise UserError(f"{where} must be a product with `images` and `title`, but is {json.dumps(entry)[:120]}.")
    images = [entry["images"]] if isinstance(entry.get("images"), str) else entry.get("images")
    if not isinstance(images, list) or not images or not all(image and isinstance(image, str) for image in images):
        raise UserError(f"{where} needs `images`, a path or a list of paths, not {json.dumps(images)[:120]}.")
    if not isinstance(entry.get("title"), str):
        raise UserError(f"{where} needs `title`, a text, not {json.dumps(entry.get('title'))[:120]}.")
    fields = {name: entry[key] for key, name in ATTRIBUTES.items() if entry.get(key) and isinstance(entry[key], str)}
    if classes_in_paths:
        folders = images[0].split("/")[:-1]
        fields = {n: f.replace("_", " ") for n, f in zip(CLASSES_IN_PATHS, folders, strict=False)} | fields
    description = entry.get("description")
    return {
        "row": _number(entry.get("id")),
        "images": images,
        "title": entry["title"],
        "description": description if isinstance(description, str) else "",
        "fields": fields,
    }


def _number(value) -> int | None:
    """Converts an id to an integer if it is one below 2^63 or a string of digits; returns None otherwise."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _with_images(products: list[dict], images: Path, path: Path, allow_missing: bool) -> list[dict]:
    """Returns the products with the images that exist; counts and names the missing ones in an error or a warning."""
    names = [name for product in products for name in product["images"]]
    present = _present(images, names)
    missing = [name for name in names if name not in present]
    if not missing:
        return products
    examples = ", ".join(name[:100] for name in missing[:3]) + (", ..." if len(missing) > 3 else "")
    count = f"{len(missing)} of {len(names)} images of {path} are not in {images} ({examples})"
    if not allow_missing:
        raise UserError(f"{count}: put them there, or set `allow_missing` of the dataset to True to leave them out.")
    kept = [{**product, "images": [name for name in product["images"] if name in present]} for product in products]
    kept = [product for product in kept if product["images"]]
    if not kept:
        raise UserError(f"{count}, which leaves no product: put some of them there.")
    logging.warning("%s: %d of %d products are left out.", count, len(products) - len(kept), len(products))
    return kept


def _present(folder: Path, names: list[str]) -> set[str]:
    """Returns the paths that exist below a folder. Listing each folder once is faster than checking every file."""
    listings: dict[str, frozenset[str]] = {}
    present = set()
    for name in names:
        parent, _, file = name.rpartition("/")
        if parent not in listings:
            listings[parent] = _listed(folder / parent, folder)
        if file in listings[parent]:
            present.add(name)
    return present


def _listed(parent: Path, folder: Path) -> frozenset[str]:
    """Returns the names in a folder; none if it is not below `folder`, or cannot be read."""
    try:
        return frozenset(os.listdir(parent) if is_inside(parent, folder) else ())
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return frozenset()
