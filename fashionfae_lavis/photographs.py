"""Decoding of photographs as upright RGB on white, for datasets, `fashionfae prepare` and the image processors.

Files are of untrusted origin: only regular files in a few formats are opened, and their number of pixels is checked
before they are decoded.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.EpsImagePlugin import EpsImageFile

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import open_regular

# Pillow knows more formats. Some of them start programs, such as Ghostscript for EPS, whatever the name of the file.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Decoding this many pixels takes up to 0.8 GB of memory (WebP with transparency).
MOST_PIXELS = 50_000_000
LONGEST = 100  # times the shorter side, which a recipe enlarges to 256 pixels
# No recipe uses more than 256 pixels of the shorter side. A JPEG is decoded at the smallest scale (1/2, 1/4, 1/8) that
# has at least `ENOUGH`. For 12,000 x 12,000 pixels this takes 7 MB of memory instead of 432 MB.
ENOUGH = 512
MISSING = "is missing"  # the message of UnusableImage for a file that does not exist
ORIENTATION = 0x0112  # the EXIF tag; 1 means upright


class UnusableImage(Exception):
    """Error raised for an image that cannot be used. The message continues a sentence that begins with its name."""


def read_photograph(
    path: str | Path, folder: str | Path | None = None, mend: str = "use another file", enough: int = ENOUGH
) -> Image.Image:
    """Reads an image file as `load_photograph` does, for a program whose user is told what is wrong with it.

    Args:
        path: the file.
        folder: the folder that the file must be in.
        mend: advice for an unusable file.
        enough: as for `decode_photograph`.

    Raises:
        UserError: the image cannot be used.
    """
    try:
        return load_photograph(path, folder, enough)
    except UnusableImage as error:
        raise UserError(f"{path} {error}: {mend}.") from error


def load_photograph(path: str | Path, folder: str | Path | None = None, enough: int = ENOUGH) -> Image.Image:
    """Reads an image file as upright RGB on white, the first frame if it is animated.

    Args:
        path: the file.
        folder: the folder that the file must be in, after following `..` and symbolic links; None means anywhere. The
            folder itself may be a symbolic link.
        enough: as for `decode_photograph`.

    Raises:
        UnusableImage: the file is missing, outside the folder, damaged, too large, or of another format.
    """
    try:
        if folder is not None and not is_inside(path, folder):
            raise UnusableImage(f"is outside the image folder {folder}")
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise UnusableImage("is an empty file")
            return decode_photograph(file, enough)
    except FileNotFoundError as error:
        raise UnusableImage(MISSING) from error
    except OSError as error:
        raise UnusableImage(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte or a lone surrogate
        raise UnusableImage("is not a file name") from error


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Returns whether a path is below a folder, after following `..` and symbolic links in both."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def decode_photograph(file: BinaryIO, enough: int = ENOUGH) -> Image.Image:
    """Decodes an open image file as upright RGB on white.

    Args:
        file: the file.
        enough: pixels of the shorter side that the caller needs; a JPEG with twice as many is decoded at half scale.

    Raises:
        UnusableImage: the image cannot be used.
    """
    with _decoding():
        image = Image.open(file, formats=FORMATS)
        if image.info.get("progressive"):  # libjpeg keeps all pixels of these, whatever the scale
            check_size(*image.size)
        image.draft("RGB", (enough, enough))
        return upright_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Returns an image of any Pillow mode as RGB, rotated by its EXIF orientation, with white behind transparency.

    Raises:
        UnusableImage: the image is too large or too long, or its file, which Pillow reads late, is damaged.
    """
    with _decoding():
        if isinstance(image, EpsImageFile):
            raise UnusableImage("is in the format EPS, which only Ghostscript can read")
        check_size(*image.size)
        image.load()
        # Pillow copies even an upright image, so transpose only the others.
        upright = image if image.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
        return to_rgb(upright)


def check_size(width: int, height: int) -> None:
    """Raises UnusableImage if an image of this size would take too much memory, once it is decoded or resized."""
    if max(width, height) > LONGEST * min(width, height):
        raise UnusableImage(f"is not a photograph of a product: {width} x {height} pixels")
    if min(width, height) == 0:
        raise UnusableImage("has no pixels")
    if width * height > MOST_PIXELS:
        raise UnusableImage(
            f"is too large: {width} x {height} pixels, more than {MOST_PIXELS // 1_000_000} million in all"
        )


@contextmanager
def _decoding() -> Iterator[None]:
    """Turns Pillow's errors into UnusableImage, including truncated files, which LAVIS lets Pillow pad with grey."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            # Pillow warns about half the size that it refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except UnusableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnusableImage(f"cannot be read: it is not an image in one of the formats {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise UnusableImage(f"is too large: {_one_line(error)}") from error
    except Exception as error:  # Pillow raises all kinds of exceptions for broken files
        raise UnusableImage(f"cannot be read: {_one_line(error)}") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any Pillow mode to RGB, with white behind transparency."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _grey(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and max(colour) > 255:  # of 16 bits, while Pillow has reduced the pixels to 8
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    if image.mode == "La":  # premultiplied, which Pillow converts to nothing else
        image = image.convert("LA")
    if image.mode != "RGBA":  # Pillow would copy it
        image = image.convert("RGBA")
    on_white = Image.new("RGB", image.size, "white")
    on_white.paste(image, mask=image)
    return on_white


def _grey(image: Image.Image) -> Image.Image:
    """Converts greys of 16 bits, of 32 bits or in floating point to L, or to LA if one value is transparent."""
    values = np.asarray(image)
    grey = Image.fromarray(_eight_bits(values))
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _eight_bits(values: NDArray) -> NDArray[np.uint8]:
    """Scales greys to 0..255 from 16 bits, or from the smallest usual range that holds all values.

    These ranges are 0..1 for floating point, then 8, 16 and 32 bits. Values below 0, NaN and infinity become black.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    ranges = ([1] if values.dtype.kind == "f" else []) + [2**8 - 1, 2**16 - 1, 2**32 - 1]
    values = values.astype(np.float32)
    values[~(np.isfinite(values) & (values > 0))] = 0
    largest = values.max()
    values *= 255 / next((limit for limit in ranges if largest <= limit), largest)
    return values.astype(np.uint8)
