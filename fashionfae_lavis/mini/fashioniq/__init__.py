"""FashionIQ-Mini: garments and requests to change them, in FashionIQ's file layout, drawn on first use.

The garments are FashionGen-Mini's, seen from the front. `requests` chooses the garments and the requests, `captions`
writes the texts.
"""

import io
import json
import os
import shutil
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini import fashiongen as fashiongen_mini
from fashionfae_lavis.mini.drawn_data import drawing_bar, drawing_into, require_room
from fashionfae_lavis.mini.fashiongen.attributes import Product
from fashionfae_lavis.mini.fashiongen.drawing import draw_front
from fashionfae_lavis.mini.fashioniq.captions import write_captions
from fashionfae_lavis.mini.fashioniq.requests import Request, image_id, sample_split
from fashionfae_lavis.workers import in_workers

__all__ = ["prepare"]

# Increase this with every change of garments, requests or files. FashionGen-Mini's version covers the drawing code.
GENERATOR_VERSION = 1
FOLDERS = ("captions", "image_splits", "images")
RECIPE = "recipe.json"  # written last: if its content is right, everything else is complete
JPEG_QUALITY = 88
BYTES_PER_IMAGE = 22_000  # for 256 x 256 pixels, with a margin


def prepare(
    folder: Path, train_pool: int = 200, validation_pool: int = 200, image_size: int = 256, seed: int = 0
) -> None:
    """Draws the dataset into `folder` unless it exists already.

    There are 2,400 requests for training and 603 for validation, in galleries of 600 images per class. If several
    processes call this at the same time, one draws and the others wait.

    Args:
        folder: the folder to draw into.
        train_pool: garments per pool; a class has four pools in training.
        validation_pool: the same for validation, where a class has three pools.
        image_size: width and height of an image in pixels.
        seed: seed of the garments and the requests.

    Raises:
        UserError: the folder cannot be written to, has too little free space, or contains other files.
    """
    folder = Path(folder)
    recipe = {
        "data set": "FashionIQ-Mini",
        "versions": [GENERATOR_VERSION, fashiongen_mini.GENERATOR_VERSION],
        "pools": {"train": train_pool, "val": validation_pool},
        "image_size": image_size,
        "seed": seed,
    }
    if _is_complete(folder, recipe):
        return
    with drawing_into(folder, "FashionIQ-Mini"):
        if not _is_complete(folder, recipe):
            _check_drawn(folder)
            _write(folder, recipe)


def _is_complete(folder: Path, recipe: dict) -> bool:
    """Returns whether the folder was drawn by this recipe and still has all its images."""
    try:
        written = json.loads((folder / RECIPE).read_text())
        count = written.pop("images")
        return written == recipe and len(os.listdir(folder / "images")) == count
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _check_drawn(folder: Path) -> None:
    """Checks that the files to replace were drawn by this code, so that a wrong path cannot delete photographs."""
    if not (folder / RECIPE).exists() and any((folder / name).exists() for name in FOLDERS):
        raise UserError(
            f"{folder} contains files that are not FashionIQ-Mini's: set "
            "datasets.fashioniq_mini.build_info.images.storage to another folder, or read it as `datasets: fashioniq`."
        )


def _write(folder: Path, recipe: dict) -> None:
    """Draws into a temporary folder, then replaces the old folders, and finally the recipe."""
    (folder / RECIPE).touch()  # marks the folder as drawn, even if this run is killed
    new = folder / ".new"
    shutil.rmtree(new, ignore_errors=True)  # left by a run that was killed
    try:
        for name in FOLDERS:
            (new / name).mkdir(parents=True)
        garments = []
        for split, size in recipe["pools"].items():
            for name, (shown, requests) in sample_split(split, size, recipe["seed"]).items():
                garments += shown
                _write_json(new / "image_splits" / f"split.{name}.{split}.json", [image_id(p) for p in shown])
                captions = [_entry(request) for request in requests]
                _write_json(new / "captions" / f"cap.{name}.{split}.json", captions)
        _draw(new / "images", garments, recipe["image_size"])
        for name in FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
            os.replace(new / name, folder / name)
        _write_json(new / RECIPE, {**recipe, "images": len(garments)})
        os.replace(new / RECIPE, folder / RECIPE)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _entry(request: Request) -> dict:
    captions = write_captions(request, request.target.generator(1))
    return {"target": image_id(request.target), "candidate": image_id(request.reference), "captions": captions}


def _write_json(path: Path, content) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def _draw(folder: Path, garments: list[Product], image_size: int) -> None:
    require_room(folder, len(garments) * round(BYTES_PER_IMAGE * (image_size / 256) ** 2))
    drawn = in_workers(partial(_jpeg, image_size=image_size), garments)
    with closing(drawn), drawing_bar(len(garments), "FashionIQ-Mini") as bar:
        for product, picture in zip(garments, drawn, strict=True):
            (folder / f"{image_id(product)}.jpg").write_bytes(picture)
            bar.update()


def _jpeg(product: Product, image_size: int) -> bytes:
    file = io.BytesIO()
    # Keep the colour at full resolution, because subsampling would remove it from thin stripes.
    Image.fromarray(np.asarray(draw_front(product, image_size))).save(file, "jpeg", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()
