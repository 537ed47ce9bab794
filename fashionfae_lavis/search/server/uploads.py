"""Uploaded photographs: read within limits, decoded in memory and never stored."""

import base64
import binascii
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from io import BytesIO

from PIL import Image
from starlette.datastructures import FormData
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import UnusableImage, decode_photograph

MEGABYTE = 1024**2
# A browser shows an answer only after it has sent the whole file, so this much of a file that is too large is read and
# thrown away. A longer one is cut off.
DRAINED = 100 * MEGABYTE
FIELDS = 100  # of a form
REDUCED = 256  # pixels of the shorter side; no model of this package looks at more
LONGEST = 768

# Decoding can take 0.8 GB, so one photograph is decoded at a time. Pillow's strictness is a global setting besides.
_decoding = threading.Lock()


class TooLarge(Exception):
    """Raised for an upload of too many bytes. The message is a sentence."""

    def __init__(self, most: int):
        super().__init__(f"The photograph has more than {most / MEGABYTE:g} MB: choose a smaller one.")


async def read_form(request: Request, most: int) -> FormData:
    """Reads a form with at most one file, which stays in memory.

    Args:
        request: the request, `multipart/form-data` or `application/x-www-form-urlencoded`.
        most: largest number of bytes of the request's body.

    Raises:
        TooLarge: the body is larger.
        UserError: the body is not a form.
    """
    stream = _limited(request.stream(), most)
    try:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return await FormParser(request.headers, stream).parse()
        parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=FIELDS, max_part_size=MEGABYTE)
        parser.spool_max_size = most + 1  # a larger file would go to the disk
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise UserError("The body is not a form with one file: send it as multipart/form-data.") from error


async def _limited(stream: AsyncIterator[bytes], most: int) -> AsyncGenerator[bytes, None]:
    """Yields the first `most` bytes; raises TooLarge at the end of a longer stream."""
    seen = 0
    async for chunk in stream:
        seen += len(chunk)
        if seen <= most:
            yield chunk
        elif seen > most + DRAINED:
            break
    if seen > most:
        raise TooLarge(most)


def decode_upload(data: bytes) -> Image.Image:
    """Decodes an uploaded file as upright RGB on white.

    Raises:
        UserError: the file is no photograph that can be used.
    """
    try:
        if not data:
            raise UnusableImage("is an empty file")
        with _decoding:
            return decode_photograph(BytesIO(data))
    except UnusableImage as error:
        raise UserError(f"The photograph {error}: choose another one.") from error


def reduce(image: Image.Image) -> Image.Image:
    """Scales a photograph down to as many pixels as the models use."""
    width, height = image.size
    scale = min(1, REDUCED / min(width, height), LONGEST / max(width, height))
    if scale == 1:
        return image
    scale = max(scale, 1 / min(width, height))
    return image.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)


def to_text(image: Image.Image) -> str:
    """Encodes a photograph as a JPEG in base64, for a hidden field of the page."""
    file = BytesIO()
    image.save(file, "JPEG", quality=92, subsampling=0)
    return base64.b64encode(file.getvalue()).decode()


def from_text(text: str) -> Image.Image:
    """Decodes what `to_text` made; raises UserError for anything that is no photograph."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError("The photograph of the page is damaged: choose it again.") from error
    return decode_upload(data)
