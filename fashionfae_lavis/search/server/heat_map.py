"""Heat maps of where a photograph matches a text."""

from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.search.encoder import Encoder

COLOURS = ((40, 70, 200), (250, 190, 40), (205, 20, 30))  # cold, warm, hot
STRONGEST = 180  # opacity of the hottest pixel, 255 being opaque


def relevance(encoder: Encoder, image: Image.Image, text: str) -> NDArray[np.float32]:
    """Computes how much each pixel of a photograph adds to its similarity with a text.

    Args:
        encoder: encoder of a model that `locates`.
        image: the photograph, RGB.
        text: the text.

    Returns:
        Values in 0..1 of the pixels (H, W); 0 where the image processing cuts the photograph off.
    """
    text_embeds = torch.from_numpy(encoder.embed_texts([text]))
    patches = encoder.adapter.locate(encoder.process([image]), text_embeds)
    left, top, right, bottom = seen_part(encoder, image.size)
    seen = F.interpolate(patches[:, None].float(), (bottom - top, right - left), mode="bicubic")[0, 0].clamp(min=0)
    values = np.zeros((image.height, image.width), np.float32)
    values[top:bottom, left:right] = (seen / seen.max().clamp(min=1e-12)).cpu().numpy()
    return values


def seen_part(encoder: Encoder, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Finds the part of a photograph that the image processing keeps, as (left, top, right, bottom).

    It processes a picture whose red and green channels encode the position, which works for any resizing and cropping.
    """
    width, height = size
    position = np.zeros((height, width, 3), np.uint8)
    position[..., 0] = 255 * (np.arange(width) + 0.5) / width
    position[..., 1] = (255 * (np.arange(height) + 0.5) / height)[:, None]
    pictures = [Image.new("RGB", size), Image.new("RGB", size, "white"), Image.fromarray(position)]
    dark, bright, seen = encoder.process(pictures).cpu().numpy()
    at = (seen - dark) / (bright - dark)
    left, right = _ends(at[0].mean(0), width)
    top, bottom = _ends(at[1].mean(1), height)
    return left, top, right, bottom


def _ends(centres: NDArray[np.float32], length: int) -> tuple[int, int]:
    """Returns the first pixel and the one after the last, out of `length`, that a row of positions (0..1) covers."""
    half = (centres[-1] - centres[0]) / (len(centres) - 1) / 2
    start, end = (centres[0] - half) * length, (centres[-1] + half) * length
    return max(0, round(float(start))), min(length, max(1, round(float(end))))


def draw_heat_map(values: NDArray[np.float32]) -> bytes:
    """Draws values in 0..1 (H, W) as a PNG, more opaque where they are higher."""
    knots = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(values, knots, channel) for channel in zip(*COLOURS, strict=True)]
    pixels = np.stack([*channels, values * STRONGEST], -1).round().astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG")
    return file.getvalue()
