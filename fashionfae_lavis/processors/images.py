"""Photograph -> normalised tensor, for training (random crop, mirrored half of the time) and evaluation."""

from functools import partial

import numpy as np
from lavis.common.registry import registry
from lavis.processors.base_processor import BaseProcessor
from PIL import Image
from torchvision import transforms

# Mean and standard deviation of the authors' recipe, RGB in 0..1. A data set of other colours names its own.
MEAN = (0.46777044, 0.44531429, 0.40661017)
STD = (0.12221994, 0.12145835, 0.14380469)


class FashionImageProcessor(BaseProcessor):
    """A PIL image, or a uint8 array (H, W, 3), becomes a float tensor (3, image_size, image_size).

    The shorter side is resized to `resize`, then `image_size` x `image_size` pixels are cut out, and `mean` and `std`
    (RGB in 0..1) normalise them.
    """

    def __init__(self, image_size: int = 224, resize: int = 256, mean=MEAN, std=STD):
        self.transform = transforms.Compose(
            [
                partial(shorter_side, size=resize),
                *self.crop(image_size),
                transforms.ToTensor(),
                transforms.Normalize(mean, std, inplace=True),
            ]
        )

    @classmethod
    def from_config(cls, cfg=None):
        cfg = cfg or {}
        return cls(**{name: cfg[name] for name in ("image_size", "resize", "mean", "std") if name in cfg})


@registry.register_processor("fashionfae_image_train")
class FashionImageTrainProcessor(FashionImageProcessor):
    """Crop at a random place and mirror half of the time, drawn from torch's global generator."""

    @staticmethod
    def crop(image_size: int) -> list:
        return [transforms.RandomCrop(image_size), transforms.RandomHorizontalFlip()]


@registry.register_processor("fashionfae_image_eval")
class FashionImageEvalProcessor(FashionImageProcessor):
    """Crop in the middle: the same tensor at every call."""

    @staticmethod
    def crop(image_size: int) -> list:
        return [transforms.CenterCrop(image_size)]


def shorter_side(image: Image.Image | np.ndarray, size: int) -> Image.Image:
    """The image as RGB with its shorter side `size` pixels long.

    Whole factors are averaged away first: 256 -> 128 then costs less than half of an interpolation.
    """
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image.convert("RGB")
    scale = size / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)
