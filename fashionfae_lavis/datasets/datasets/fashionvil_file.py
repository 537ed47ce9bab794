"""FashionViL's preprocessed layout: the products of a split in one json file, their images in a folder beside it.

    <data set>/<split>_info.json   [{"images": [<path>, ...], "title": ..., "description": ..., "id": ..., ...}, ...]
    <data set>/<folder>/<path>     the folder is called `images`, as the split, or `women` as in Fashion200k's archive

This is what public code reads: FashionViL's (BrandonHanx/mmf, BrandonHanx/FAME-ViL) and S-CLIP's (alinlab/s-clip,
custom/data.py). We had none of the files to open, so keys that are not known are passed over, and of the known ones
only `images` and `title` must be there. `attributes_id`, `category_id` and `subcategory_id` are numbers of words that
the files do not hold: they give no prompt.
"""

import json
import logging
import os
from pathlib import Path

from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import read_json_list

# The files' keys of words, in the order of their prompts, and the names that prompts have for them.
ATTRIBUTES = {
    "category": "category",
    "subcategory": "sub category",
    "gender": "gender",
    "season": "season",
    "composition": "composition",
    "color": "colour",
}
CLASSES_IN_PATHS = ("category", "sub category")  # of Fashion200k: <category>/<sub category>/.../<file>


class FashionViLFile(CatalogueFile):
    """The products of one file, in its order, with the attributes that at least one of them has."""

    mend = "copy the file again"


def info_path(folder: Path, split: str) -> Path:
    """The json file of a split, which is train, val or test."""
    return folder / f"{split}_info.json"


def read_fashionvil(
    folder: Path, split: str, classes_in_paths: bool = False, allow_missing: bool = False
) -> FashionViLFile:
    """The products of one split.

    Args:
        folder: of the data set, such as `BigFACAD`.
        classes_in_paths: take category and sub category from the path of a product's first image.
        allow_missing: leave images out that are missing, and products of which none is there.

    Raises:
        UserError: the file or the folder of images is missing, or the file is damaged; an entry lacks what it needs; an
            image is missing, unless that is allowed; no product is left.
    """
    path = info_path(folder, split)
    entries = _read_list(path)
    images = _image_folder(folder, split)
    products = [_product(entry, number, path, classes_in_paths) for number, entry in enumerate(entries)]
    if any(product["row"] is None for product in products):  # ids that are no numbers: the place in the file will do
        for number, product in enumerate(products):
            product["row"] = number
    products = _at_hand(products, images, path, allow_missing)
    names = [name for name in ATTRIBUTES.values() if any(name in product["fields"] for product in products)]
    return FashionViLFile(path, images, names, products)


def _read_list(path: Path) -> list:
    if not path.is_file():
        raise UserError(
            f"{path} is missing: github.com/BrandonHanx/mmf says where FashionViL's preprocessed files are; put it "
            f"there, or set `build_info.images.storage` of the data set to the folder that holds {path.parent.name}"
        )
    return read_json_list(path, "FashionViL's list of products")


def _image_folder(folder: Path, split: str) -> Path:
    names = ("images", split, "women")
    found = next((folder / name for name in names if (folder / name).is_dir()), None)
    if found is None:
        raise UserError(
            f"{folder} has no folder of images for {info_path(folder, split).name} ({', '.join(names)}): FashionViL "
            "does not ship them, ask the owners of the data set and put them there"
        )
    return found


def _product(entry, number: int, path: Path, classes_in_paths: bool) -> dict:
    """A product as `CatalogueFile` takes it; its row is its id, None where that is no number."""
    where = f"{path}: entry {number} (from 0)"
    if not isinstance(entry, dict):
        raise UserError(f"{where} is not a product of FashionViL's, but {json.dumps(entry)[:120]}")
    images = [entry["images"]] if isinstance(entry.get("images"), str) else entry.get("images")
    if not isinstance(images, list) or not images or not all(image and isinstance(image, str) for image in images):
        raise UserError(f"{where} needs `images`, one path or a list of some, not {json.dumps(images)[:120]}")
    if not isinstance(entry.get("title"), str):
        raise UserError(f"{where} needs `title`, a text, not {json.dumps(entry.get('title'))[:120]}")
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
    """An id that is an integer, or written as one, below 2^63."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _at_hand(products: list[dict], images: Path, path: Path, allow_missing: bool) -> list[dict]:
    """The products with the images that are there; the others are counted and named, in an error or a warning."""
    names = [name for product in products for name in product["images"]]
    there = _present(images, names)
    missing = [name for name in names if name not in there]
    if not missing:
        return products
    examples = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    said = f"{len(missing)} of {len(names)} images of {path} are not in {images} ({examples})"
    if not allow_missing:
        raise UserError(
            f"{said}: put them there, or set `allow_missing` of the data set to True, which leaves them out"
        )
    kept = [{**product, "images": [name for name in product["images"] if name in there]} for product in products]
    kept = [product for product in kept if product["images"]]
    if not kept:
        raise UserError(f"{said}: no product is left")
    logging.warning("%s: %d of %d products are left out", said, len(products) - len(kept), len(products))
    return kept


def _present(folder: Path, names: list[str]) -> set[str]:
    """Those of the paths that are there; each folder is listed once, which takes less than a look at every file."""
    listings: dict[str, frozenset[str]] = {}
    there = set()
    for name in names:
        place, _, file = name.rpartition("/")
        if place not in listings:
            listings[place] = frozenset(os.listdir(folder / place) if (folder / place).is_dir() else ())
        if file in listings[place]:
            there.add(name)
    return there
