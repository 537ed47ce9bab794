"""Image processors, which turn a photograph into a normalised tensor."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lavis.common.registry import registry
from lavis.processors.base_processor import BaseProcessor
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import ENOUGH, UnusableImage, read_photograph, upright_rgb

# Mean and standard deviation of the authors' recipe, RGB in 0..1.
MEAN = (0.46777044, 0.44531429, 0.40661017)
STD = (0.12221994, 0.12145835, 0.14380469)
RATIO = (0.8, 1.25)  # lowest and highest width / height of a crop of a photograph


class NormalisedTensor:
    """Transform from an RGB image to a float tensor (3, H, W), equal to torchvision's `ToTensor` and `Normalize`.

    It takes a PIL image or a uint8 tensor (3, H, W), and computes in place.

    Args:
        mean, std: RGB in 0..1.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = mean, std
        self._mean, self._std = (torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (mean, std))

    def __call__(self, image: Image.Image | torch.Tensor) -> torch.Tensor:
        pixels = image if isinstance(image, torch.Tensor) else v2.functional.pil_to_tensor(image)
        floats = pixels.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        return floats.div_(255).sub_(self._mean).div_(self._std)


class FashionImageProcessor(BaseProcessor):
    """Processor from an image to a float tensor (3, image_size, image_size).

    The image is a path, a PIL image, or a uint8 array (H, W, 3). Files and PIL images become what a dataset reads:
    upright RGB on white. Give a PIL image as Pillow opened it, because `convert("RGB")` drops transparency. A subclass
    defines `crop`.

    Args:
        image_size: side of the square that is cut out, in pixels.
        resize: length of the shorter side before the crop, in pixels.
        mean, std: RGB in 0..1, for the normalisation.
    """

    def __init__(
        self, image_size: int = 224, resize: int = 256, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
    ):
        self.transform = transforms.Compose(
            [
                partial(shorter_side, size=resize),
                *self.crop(image_size),
                NormalisedTensor(mean, std),
            ]
        )

    @staticmethod
    def crop(image_size: int) -> list[Any]:
        """Returns the transforms that cut out `image_size` x `image_size` pixels."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any] | None = None) -> "FashionImageProcessor":
        cfg = cfg or {}
        return cls(**{name: cfg[name] for name in ("image_size", "resize", "mean", "std") if name in cfg})


@registry.register_processor("fashionfae_image_train")
class FashionImageTrainProcessor(FashionImageProcessor):
    """Processor that crops at a random position and mirrors with probability 1/2 (torch's global generator)."""

    @staticmethod
    def crop(image_size: int) -> list[Any]:
        return [transforms.RandomCrop(image_size), transforms.RandomHorizontalFlip()]


@registry.register_processor("fashionfae_photograph_train")
class FashionPhotographProcessor(BaseProcessor):
    """Processor that augments photographs as fashion allows.

    It crops a random part, mirrors with probability 1/2, changes the colours slightly where colour is no attribute, and
    erases a random rectangle. All draws are from torch's global generator.

    Args:
        image_size: side of the result in pixels.
        area: the smallest share of the photograph that a crop keeps.
        erasing: probability of an erased rectangle of 2 to 20 % of the crop.
        colour_jitter: greatest relative change of brightness, contrast and saturation; None for no change.
        mean, std: RGB in 0..1, for the normalisation.

    Attributes:
        enough: shorter side of a photograph in pixels from which no crop has to be enlarged.
    """

    def __init__(
        self,
        image_size: int = 224,
        area: float = 0.6,
        erasing: float = 0.25,
        colour_jitter: float | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ):
        narrowest = math.sqrt(area * RATIO[0])  # shorter side of the smallest crop, relative to the photograph's
        self.enough = min(ENOUGH, math.ceil(image_size / narrowest))
        jitter = [v2.ColorJitter(colour_jitter, colour_jitter, colour_jitter)] if colour_jitter else []
        # torch resizes tensors of bytes faster than Pillow resizes images.
        self.transform = transforms.Compose(
            [
                as_rgb,
                v2.PILToTensor(),
                v2.RandomResizedCrop(image_size, scale=(area, 1.0), ratio=RATIO),
                v2.RandomHorizontalFlip(),
                *jitter,
                NormalisedTensor(mean, std),
                v2.RandomErasing(erasing, scale=(0.02, 0.2), inplace=True),
            ]
        )

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any] | None = None) -> "FashionPhotographProcessor":
        cfg = cfg or {}
        names = ("image_size", "area", "erasing", "colour_jitter", "mean", "std")
        return cls(**{name: cfg[name] for name in names if name in cfg})


@registry.register_processor("fashionfae_image_eval")
class FashionImageEvalProcessor(FashionImageProcessor):
    """Processor that crops the centre, so every call gives the same tensor."""

    @staticmethod
    def crop(image_size: int) -> list[Any]:
        return [transforms.CenterCrop(image_size)]


def shorter_side(image: str | Path | Image.Image | NDArray[np.uint8], size: int) -> Image.Image:
    """Reads or converts an image to RGB and resizes its shorter side to `size` pixels.

    Integer factors are reduced by averaging first, which makes 256 to 128 more than twice as fast as interpolation.

    Raises:
        UserError: the image cannot be used.
    """
    image = as_rgb(image)
    scale = size / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)


def as_rgb(image: str | Path | Image.Image | NDArray[np.uint8]) -> Image.Image:
    """Reads or converts an image to upright RGB on white.

    Raises:
        UserError: the image cannot be used.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UserError(f"The image is an array {image.shape} of {image.dtype}, but must be (H, W, 3) of uint8.")
        return Image.fromarray(image)
    if not isinstance(image, Image.Image):
        return read_photograph(image)
    try:
        return upright_rgb(image)
    except UnusableImage as error:
        raise UserError(f"The image {error}: use another one.") from error
