"""Reading of image files as upright RGB on white, no larger than needed."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

# No recipe uses more than 256 pixels of the shorter side. A JPEG is decoded at the smallest scale (1/2, 1/4, 1/8) that
# has at least as many. For 12,000 x 12,000 pixels this takes 7 MB of memory instead of 432 MB.
ENOUGH = 512
ORIENTATION = 0x0112  # the EXIF tag; 1 means upright


def read_photograph(path: str | Path) -> Image.Image:
    """Reads an image file as RGB, rotated by its EXIF orientation, with white behind transparency.

    Raises:
        Exception: whatever Pillow raises for a broken file, which is not always an OSError.
    """
    with _strictly(), Image.open(path) as image:
        image.draft("RGB", (ENOUGH, ENOUGH))
        image.load()
        # Pillow copies even an upright image, so transpose only the others.
        upright = image if image.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
        return to_rgb(upright)


@contextmanager
def _strictly() -> Iterator[None]:
    """Makes truncated files an error; LAVIS configures Pillow to pad them with grey."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            # Pillow still rejects images of twice the size that it warns about.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any Pillow mode to RGB."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):  # Pillow would clip values above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
