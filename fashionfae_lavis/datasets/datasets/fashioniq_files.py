"""FashionIQ's files below one folder: requests (captions), image lists (image_splits) and images.

captions/cap.<class>.<split>.json       [{"candidate": id, "target": id, "captions": [text, text]}, ...]
image_splits/split.<class>.<split>.json [id, ...]
images/<id>.jpg                         or .png, .jpeg; some copies have images/<class>/<id>.jpg
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import read_json_list

CLASSES = ("dress", "shirt", "toptee")
IMAGE_ENDINGS = (".jpg", ".png", ".jpeg")


class Request(NamedTuple):
    """Two captions that ask for the image `target`, given the image `reference`; both are image ids."""

    garment: str
    reference: str
    target: str
    captions: tuple[str, str]


def read_requests(folder: Path, garment: str, split: str) -> list[Request]:
    """Reads the requests of one class and split, in the file's order.

    Raises:
        UserError: the file is missing, damaged, empty or malformed.
    """
    path = folder / "captions" / f"cap.{garment}.{split}.json"
    entries = _read_list(path)
    for number, entry in enumerate(entries):
        if not _is_request(entry):
            raise UserError(
                f"{path}: entry {number} must have candidate and target (image ids) and captions (two texts), but is "
                f"{json.dumps(entry)[:120]}: copy the file again."
            )
    return [Request(garment, entry["candidate"], entry["target"], tuple(entry["captions"])) for entry in entries]


def read_image_list(folder: Path, garment: str, split: str) -> list[str]:
    """Reads the distinct image ids of one class and split, in the file's order; errors as in `read_requests`."""
    path = folder / "image_splits" / f"split.{garment}.{split}.json"
    entries = _read_list(path)
    for number, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise UserError(
                f"{path}: entry {number} must be an image id, but is {json.dumps(entry)[:120]}: copy the file again."
            )
    return list(dict.fromkeys(entries))


def find_images(folder: Path, garment: str) -> dict[str, Path]:
    """Finds the images of one class; a folder for the class takes precedence over the common folder.

    Returns:
        Image id -> path.

    Raises:
        UserError: the folder `images` is missing or unreadable.
    """
    images = folder / "images"
    if not os.path.isdir(images):
        raise _missing(images)
    found = {}
    for directory in (images, images / garment):
        if os.path.isdir(directory):
            for name in _listed(directory):
                stem, ending = os.path.splitext(name)
                if ending.lower() in IMAGE_ENDINGS:
                    found[stem] = directory / name
    return found


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError as error:
        raise UserError(f"{directory} cannot be read ({error.strerror}): make it readable.") from error


def _read_list(path: Path) -> list:
    if not os.path.lexists(path):
        raise _missing(path)
    return read_json_list(path, "FashionIQ's list of entries")


def _is_request(entry) -> bool:
    if not isinstance(entry, dict):
        return False
    captions = entry.get("captions")
    texts = [entry.get("candidate"), entry.get("target"), *(captions if isinstance(captions, list) else ())]
    return len(texts) == 4 and all(isinstance(text, str) for text in texts)


def _missing(path: Path) -> UserError:
    return UserError(
        f"{path} is missing: get captions and image_splits from github.com/XiaoxiaoGuo/fashion-iq, which also says "
        "where to download the images, and set datasets.fashioniq.build_info.images.storage to their folder, or use "
        "`datasets: fashioniq_mini`, as projects/fashionfae/composition.yaml does."
    )
