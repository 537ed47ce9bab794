"""Image files as photographs: upright, RGB, on white, and no larger than is of use."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

# No recipe looks at more than 256 pixels of the shorter side. A JPEG is read at the smallest scale (1/2, 1/4, 1/8) that
# has these, which for a photograph of 12,000 x 12,000 pixels takes 7 MB instead of 432.
ENOUGH = 512
ORIENTATION = 0x0112  # of EXIF; 1 is upright


def read_photograph(path: str | Path) -> Image.Image:
    """The image in this file as RGB: turned as its EXIF says, transparent parts white.

    Raises whatever Pillow raises: beside OSError also others, its decoders being what they are.
    """
    with _strictly(), Image.open(path) as image:
        image.draft("RGB", (ENOUGH, ENOUGH))
        image.load()
        # Asked first, as Pillow copies what it does not turn.
        upright = image if image.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
        return to_rgb(upright)


@contextmanager
def _strictly() -> Iterator[None]:
    """LAVIS makes Pillow fill up truncated files with grey: here they are an error."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            # Pillow refuses what is twice as large as what it warns of: that is enough.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def to_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):  # Pillow would cut off all above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
