"""FashionIQ as LAVIS datasets: requests for training, gallery images and requests for evaluation.

A request is a reference image and a text that asks for a target image. As in most work on FashionIQ, the text is both
captions joined by "and", in the file's order for evaluation and in random order for training.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from lavis.datasets.datasets.base_dataset import BaseDataset
from PIL import Image
from torch.utils.data import default_collate

from fashionfae_lavis.datasets.datasets.fashioniq_files import (
    CLASSES,
    Request,
    find_images,
    read_image_list,
    read_requests,
)
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import read_photograph

ImageKey = tuple[str, str]  # class, id


def join_captions(captions: Iterable[str]) -> str:
    """Joins captions: `is red.`, `has long sleeves` -> `is red and has long sleeves`."""
    return " and ".join(caption.strip(" .,?!") for caption in captions)


class _FashionIQBase(BaseDataset):
    """Base class of `FashionIQDataset` and `FashionIQEvalDataset`.

    Args:
        folder: contains captions, image_splits and images; see fashioniq_files.py.
        split: "train" or "val".
        vis_processor, text_processor: applied to an image and to a request's text.
        allow_missing: whether to leave out missing gallery images, and the requests that name them.

    Attributes:
        requests: the requests of all classes whose two images exist.
        left_out: number of requests that were left out.

    Raises:
        UserError: a file is missing, damaged or malformed; an image is missing and `allow_missing` is off; a class has
            no request left.
    """

    def __init__(self, folder: str | Path, split: str, vis_processor, text_processor, allow_missing: bool = False):
        super().__init__(vis_processor, text_processor, vis_root=str(folder))
        folder = Path(folder)
        requests = {garment: read_requests(folder, garment, split) for garment in CLASSES}
        self.paths: dict[ImageKey, Path] = {}
        missing: list[str] = []
        for garment in CLASSES:
            at_hand = find_images(folder, garment)
            for image in self._needed(requests[garment], folder, garment, split):
                if image in at_hand:
                    self.paths[garment, image] = at_hand[image]
                else:
                    missing.append(image)
        self.requests = [request for garment in CLASSES for request in requests[garment] if self._has(request)]
        self.left_out = sum(map(len, requests.values())) - len(self.requests)
        self.missing_images = len(missing)
        if missing:
            self._report(missing, folder, split, allow_missing)

    @staticmethod
    def _needed(requests: list[Request], folder: Path, garment: str, split: str) -> list[str]:
        """Returns the distinct ids of the images of one class."""
        return list(dict.fromkeys(image for request in requests for image in (request.reference, request.target)))

    def _has(self, request: Request) -> bool:
        return {(request.garment, request.reference), (request.garment, request.target)} <= self.paths.keys()

    def _report(self, missing: list[str], folder: Path, split: str, allow_missing: bool) -> None:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        count = f"{len(missing)} of {len(missing) + len(self.paths)} images of FashionIQ's {split} split"
        if not allow_missing:
            raise UserError(
                f"{count} are not in {folder / 'images'} ({names}): put them there, or set "
                "datasets.fashioniq.allow_missing to True to leave out these images and their requests."
            )
        bare = [garment for garment in CLASSES if all(request.garment != garment for request in self.requests)]
        if bare:
            raise UserError(
                f"{count} are not in {folder / 'images'} ({names}), which leaves no request of {', '.join(bare)}: put "
                "more of them there."
            )
        logging.warning("%s are missing (%s), so %d requests are left out.", count, names, self.left_out)

    def photograph(self, key: ImageKey) -> Image.Image:
        """Reads the image of this class and id, RGB; raises UserError if its file is damaged."""
        path = self.paths[key]
        return read_photograph(path, path.parent, mend="download it again, or delete it")

    def image(self, garment: str, image_id: str) -> torch.Tensor:
        """Returns the processed image, (3, S, S)."""
        return self.vis_processor(self.photograph((garment, image_id)))

    def collater(self, samples: list[dict]) -> dict:
        """Collates a batch: images (B, 3, S, S), everything else lists of B."""
        batch: dict = {key: [sample[key] for sample in samples] for key in samples[0]}
        for key in batch.keys() & {"image", "target_image"}:
            batch[key] = default_collate(batch[key])  # in a worker process, directly into shared memory
        return batch


class FashionIQDataset(_FashionIQBase):
    """A `RequestSplit`: one item per request, with "image" (the reference), "target_image" and "text_input"."""

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, index: int) -> dict:
        request = self.requests[index]
        order = torch.randperm(2).tolist()
        return {
            "image": self.image(request.garment, request.reference),
            "target_image": self.image(request.garment, request.target),
            "text_input": self.text_processor(join_captions(request.captions[i] for i in order)),
            "instance_id": str(index),
        }

    def sample_texts(self, count: int) -> list[str]:
        """Returns the texts of up to `count` requests, spread over the split."""
        chosen = np.linspace(0, len(self) - 1, min(count, len(self)), dtype=int).tolist()
        return [self.text_processor(join_captions(self.requests[i].captions)) for i in chosen]


class FashionIQEvalDataset(_FashionIQBase):
    """A `CompositionSplit`: one item per gallery image, and the requests as attributes.

    Raises:
        UserError: as in the base class, or a request names an image that the split's list lacks.
    """

    def __init__(self, folder: str | Path, split: str, vis_processor, text_processor, allow_missing: bool = False):
        super().__init__(folder, split, vis_processor, text_processor, allow_missing)
        self.keys = list(self.paths)
        row = {key: number for number, key in enumerate(self.keys)}
        self.row_class = np.array([garment for garment, _ in self.keys])
        self.reference = np.array([row[request.garment, request.reference] for request in self.requests])
        self.target = np.array([row[request.garment, request.target] for request in self.requests])
        self.texts = [self.text_processor(join_captions(request.captions)) for request in self.requests]

    @staticmethod
    def _needed(requests: list[Request], folder: Path, garment: str, split: str) -> list[str]:
        listed = read_image_list(folder, garment, split)
        strangers = {image for request in requests for image in (request.reference, request.target)} - set(listed)
        if strangers:
            raise UserError(
                f"{folder}: captions/cap.{garment}.{split}.json names {min(strangers)}, which "
                f"image_splits/split.{garment}.{split}.json lacks: copy both files from the same release."
            )
        return listed

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict:
        return {"image": self.image(*self.keys[index]), "instance_id": str(index)}
