"""Colours, patterns and fabric textures of FashionGen-Mini, as fields that drawings are cut from.

A field is an 8-bit image larger than a drawing, which uses a window of it at a random position. Distances are in pixels
of a 256-pixel drawing; `zoom` enlarges the content of a field, and `angle` (degrees) turns it along a sleeve. The few
dozen fields, 120 kB each, are cached.
"""

from functools import cache

import numpy as np
from PIL import Image

# Colour -> RGB of the cloth, of the second colour in its patterns, and of contrast trims.
COLOURS = {
    "black": ((44, 44, 48), (230, 228, 222), (158, 158, 164)),
    "white": ((247, 246, 242), (88, 96, 112), (58, 60, 68)),
    "grey": ((142, 144, 149), (238, 238, 238), (58, 60, 66)),
    "red": ((204, 34, 42), (248, 232, 214), (52, 30, 36)),
    "orange": ((242, 126, 24), (255, 240, 214), (98, 46, 18)),
    "yellow": ((247, 212, 54), (120, 96, 48), (72, 62, 50)),
    "green": ((40, 140, 72), (240, 242, 218), (18, 56, 40)),
    "blue": ((66, 138, 226), (240, 246, 252), (24, 44, 104)),
    "navy": ((30, 40, 104), (236, 232, 222), (206, 190, 160)),
    "purple": ((124, 62, 166), (240, 226, 246), (52, 24, 80)),
    "pink": ((244, 152, 184), (166, 38, 96), (122, 28, 70)),
    "brown": ((120, 78, 46), (242, 226, 198), (54, 34, 24)),
}
MARGIN = 96  # how far a window can move inside a field

Field = np.ndarray


def _grid(size: int, zoom: float, angle: float) -> tuple[Field, Field]:
    step = 256 / size / zoom
    side = size + MARGIN * size // 256
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * step
    turn = np.deg2rad(angle)
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _image(field: Field) -> Image.Image:
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def _stepped(field: Field, step: int) -> Field:
    """Rounds to multiples of `step`, which is hardly visible but halves the size of files."""
    return np.round(field / step) * step


def _edge(signed: Field) -> Field:
    """Maps a signed distance to a smooth edge that rises from 0 to 1 over about a pixel."""
    return np.clip(signed + 0.5, 0, 1)


def _stripes(t: Field, period: float, width: float) -> Field:
    return _edge(width / 2 - np.abs(t % period - period / 2))


@cache
def pattern(name: str, size: int, zoom: float, angle: float) -> Image.Image:
    """Returns the amount of the second colour at each pixel, 0-255."""
    x, y = _grid(size, zoom, angle)
    return _image(255 * _PATTERNS[name](x, y))


def _striped(x: Field, y: Field) -> Field:
    return _stripes(y, 26, 10)


def _checked(x: Field, y: Field) -> Field:
    across, down = _stripes(x, 30, 12), _stripes(y, 30, 12)
    return 0.45 * (across + down) + 0.1 * across * down


def _cells(x: Field, y: Field, period: float) -> tuple[Field, Field]:
    """Returns coordinates relative to the centres of the cells of a lattice; odd rows are shifted by half a cell."""
    row = np.floor(y / period)
    return (x + (row % 2) * period / 2) % period - period / 2, y % period - period / 2


def _dotted(x: Field, y: Field) -> Field:
    u, v = _cells(x, y, 27)
    return _edge(7.5 - np.hypot(u, v))


def _floral(x: Field, y: Field) -> Field:
    """Draws five-petalled flowers with an open centre, and a small leaf between them."""
    period = 46
    u, v = _cells(x, y, period)
    turn = np.floor(y / period) * 0.7
    radius, direction = np.hypot(u, v), np.arctan2(v, u) + turn
    petals = _edge(18 * (0.42 + 0.58 * np.abs(np.cos(2.5 * direction))) - radius) * _edge(radius - 4)
    a, b = _cells(x + period / 2, y, period)
    leaf = _edge(9 - np.abs(a + b) * 0.8 - np.abs(a - b) * 1.9)
    return np.maximum(petals, leaf)


_PATTERNS = {"striped": _striped, "checked": _checked, "dotted": _dotted, "floral": _floral}


@cache
def texture(name: str, size: int, zoom: float, angle: float) -> Image.Image:
    """Returns the fabric's shading: 128 leaves the colour unchanged, lower values darken, higher values lighten."""
    x, y = _grid(size, zoom, angle)
    return _image(_stepped(128 + _TEXTURES[name](x, y), 8))


def _noise(shape: tuple[int, ...], wide: float, high: float, seed: int) -> Field:
    """Returns smooth noise of unit standard deviation with blotches of about `wide` x `high` pixels."""
    small = np.random.default_rng(seed).normal(size=(int(shape[0] / high) + 3, int(shape[1] / wide) + 3))
    large = Image.fromarray(small.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    field = np.asarray(large)
    return (field - field.mean()) / field.std()


def _blotches(x: Field, wide: float, high: float, seed: int) -> Field:
    scale = 1 / abs(float(x[0, 1] - x[0, 0]) or 1.0)  # pixels of the field in a pixel of the drawing
    return _noise(x.shape, wide * scale, high * scale, seed)


def _wool(x: Field, y: Field) -> Field:
    """Draws knitted stitches: columns of Vs."""
    wide, high = 13.0, 9.0
    arm = np.abs(x % wide - wide / 2)
    stitch = np.abs((y + arm * 1.1) % high - high / 2) / (high / 2)
    gap = np.maximum(_stripes(x, wide, 2.0), _stripes(x + wide / 2, wide, 1.2))
    return 32 - 56 * stitch**1.5 - 34 * gap


def _denim(x: Field, y: Field) -> Field:
    """Draws steep diagonal twill on a washed, uneven ground."""
    twill = np.cos((x * 0.83 + y * 0.56) * 2 * np.pi / 6.5)
    return 20 * twill + 9 * _blotches(x, 30, 50, 3)


def _leather(x: Field, y: Field) -> Field:
    """Draws hard highlights along broken, slanting creases on a dark, smooth ground."""
    slanted = _blotches(x, 34, 60, 5) + 0.02 * (x + 0.4 * y) % 2
    crease = np.clip(1 - np.abs(slanted) * 1.9, 0, 1) ** 2
    return 140 * crease * np.clip(0.85 + _blotches(x, 40, 40, 6), 0, 1) - 36


def _silk(x: Field, y: Field) -> Field:
    """Draws broad soft waves of sheen."""
    phase = (x * 0.8 + y * 0.45) / 30 + 0.9 * _blotches(x, 90, 120, 8)
    return 44 * np.sin(phase * 2) ** 3 + 12


def _linen(x: Field, y: Field) -> Field:
    """Draws an open weave of uneven threads."""
    across, down = _blotches(x, 26, 2.4, 11), _blotches(x, 2.4, 26, 12)
    return 15 * np.clip(across, -2, 2.2) + 15 * np.clip(down, -2, 2.2)


def _corduroy(x: Field, y: Field) -> Field:
    """Draws fine upright ribs."""
    rib = np.abs(x % 8 - 4) / 4
    return 24 - 74 * rib**2.5


_TEXTURES = {
    "wool": _wool, "denim": _denim, "leather": _leather, "silk": _silk, "linen": _linen,
    "corduroy": _corduroy,
}  # fmt: skip


@cache
def folds(size: int, number: int) -> Image.Image:
    """Returns the soft shading of hanging cloth, one of several, centred on 128 like a texture."""
    shape = (size, size)
    upright = _noise(shape, 26 * size / 256, 150 * size / 256, 100 + number)
    slanted = _noise(shape, 70 * size / 256, 70 * size / 256, 200 + number)
    return _image(_stepped(128 + 9 * upright + 6 * slanted, 6))
