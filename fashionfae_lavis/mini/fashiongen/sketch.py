"""A garment as a list of filled shapes and lines, painted back to front.

Shapes are in garment units: x points right from the centre line, and y points down from the base of the neck, with the
waist at about 90. Each shape belongs to a layer, and `drawing` decides what the layer looks like.
"""

from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

Points = np.ndarray  # (n, 2)


class Layer(IntEnum):
    """The material of a shape."""

    NOTHING = 0
    BODY = 1
    LEFT = 2  # the left and right sleeve in the picture, with cloth turned along the sleeve
    RIGHT = 3
    TRIM = 4  # plain cloth of the garment's own colour: ribs, collars, pockets
    CONTRAST = 5
    INSIDE = 6
    OUTLINE = 7
    SEAM = 8
    METAL = 9
    BUTTON = 10
    BELT = 11


def curve(*points: tuple[float, float] | Points, steps: int = 7) -> Points:
    """Returns a smooth line through the points (Catmull-Rom spline)."""
    p = np.array([points[0], *points, points[-1]], float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*pieces, p[-1:]])


def mirror(points: ArrayLike) -> Points:
    """Reflects a shape at the centre line."""
    return np.asarray(points, float) * (-1, 1)


def join(*pieces: object) -> Points:
    """Concatenates points and curves to one outline."""
    return np.concatenate([np.atleast_2d(np.asarray(piece, float)) for piece in pieces])


def whole(half: Points) -> Points:
    """Returns the closed outline of a right half that runs from the top to the bottom of the centre line."""
    return join(half, mirror(half)[::-1])


class Sketch:
    """A list of shapes; `paint` draws them onto a map of layers."""

    def __init__(self) -> None:
        self._shapes: list[tuple[Points, Layer, float | None]] = []

    def fill(self, points: ArrayLike, layer: Layer, outline: bool = True) -> None:
        """Adds a filled shape, with a line around it."""
        shape = np.asarray(points, float)
        self._shapes.append((shape, layer, None))
        if outline:
            self.line(join(shape, shape[:1]), Layer.OUTLINE)

    def line(self, points: ArrayLike, layer: Layer, width: float = 0.0) -> None:
        """Adds a line of that width in garment units, by default a thin one."""
        self._shapes.append((np.asarray(points, float), layer, width))

    def band(self, points: ArrayLike, layer: Layer, width: float) -> None:
        """Adds a strip of cloth with an outline on both sides."""
        self.line(points, Layer.OUTLINE, width + 1.6)
        self.line(points, layer, width)

    def dot(self, x: float, y: float, radius: float, layer: Layer) -> None:
        """Adds a round button with an outline."""
        turn = np.linspace(0, 2 * np.pi, 16)
        ring = np.stack([np.cos(turn), np.sin(turn)], 1)
        self.fill((x, y) + ring * (radius + 0.9), Layer.OUTLINE, outline=False)
        self.fill((x, y) + ring * radius, layer, outline=False)

    def bounds(self) -> tuple[float, float, float, float]:
        """Returns left, top, right and bottom of all filled shapes."""
        points = np.concatenate([points for points, _, width in self._shapes if width is None])
        return (*points.min(0), *points.max(0))

    def paint(self, to_pixels: Callable[[Points], Points], side: int, scale: float, thin: float) -> Image.Image:
        """Paints all shapes.

        Args:
            to_pixels: maps points from garment units to pixels.
            side: width and height of the image.
            scale: pixels per garment unit, for widths.
            thin: width of thin lines in pixels.

        Returns:
            A (side, side) image whose values are layers.
        """
        image = Image.new("L", (side, side), Layer.NOTHING)
        draw = ImageDraw.Draw(image)
        ends = np.cumsum([len(points) for points, _, _ in self._shapes])
        pixels = np.split(to_pixels(np.concatenate([points for points, _, _ in self._shapes])), ends[:-1])
        for points, (_, layer, width) in zip(pixels, self._shapes, strict=True):
            flat = points.ravel().tolist()
            if width is None:
                draw.polygon(flat, fill=int(layer))
            else:
                draw.line(flat, fill=int(layer), width=max(1, round(width * scale or thin)), joint="curve")
        return image
