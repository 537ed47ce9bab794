"""FashionIQ's files: requests (captions), lists of images (image_splits), and the images, below one folder.

captions/cap.<class>.<split>.json       [{"candidate": id, "target": id, "captions": [text, text]}, ...]
image_splits/split.<class>.<split>.json [id, ...]
images/<id>.jpg                         or .png, .jpeg; or images/<class>/<id>.jpg, as some copies have them
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
    """`target` is asked for with `reference` in sight, in two captions; both are image ids."""

    garment: str
    reference: str
    target: str
    captions: tuple[str, str]


def read_requests(folder: Path, garment: str, split: str) -> list[Request]:
    """The requests of one class and split, in the file's order.

    Raises:
        UserError: the file is missing, damaged, empty or of another shape.
    """
    path = folder / "captions" / f"cap.{garment}.{split}.json"
    entries = _read_list(path)
    for number, entry in enumerate(entries):
        if not _is_request(entry):
            raise UserError(
                f"{path}: entry {number} is not a request of FashionIQ's: each is a candidate, a target (image ids) "
                f"and captions (two texts), not {json.dumps(entry)[:120]}"
            )
    return [Request(garment, entry["candidate"], entry["target"], tuple(entry["captions"])) for entry in entries]


def read_image_list(folder: Path, garment: str, split: str) -> list[str]:
    """The ids of one class and split, each once, in the file's order; errors as in `read_requests`."""
    path = folder / "image_splits" / f"split.{garment}.{split}.json"
    entries = _read_list(path)
    for number, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise UserError(f"{path}: entry {number} is not an image id, but {json.dumps(entry)[:120]}")
    return list(dict.fromkeys(entries))


def find_images(folder: Path, garment: str) -> dict[str, Path]:
    """The images at hand, id -> path; the class's own folder comes before the common one.

    Raises:
        UserError: there is no folder `images`.
    """
    images = folder / "images"
    if not images.is_dir():
        raise _missing(images)
    found = {}
    for place in (images, images / garment):
        if place.is_dir():
            for name in os.listdir(place):
                stem, ending = os.path.splitext(name)
                if ending.lower() in IMAGE_ENDINGS:
                    found[stem] = place / name
    return found


def _read_list(path: Path) -> list:
    if not path.is_file():
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
        f"{path} is missing: get FashionIQ's captions and image_splits from github.com/XiaoxiaoGuo/fashion-iq, which "
        "also says where its images can be downloaded, and set datasets.fashioniq.build_info.images.storage to the "
        "folder they are in; without them, projects/fashionfae/composition.yaml runs on datasets: fashioniq_mini"
    )
