"""Closures and trims that are sewn onto a garment."""

import numpy as np

from fashionfae_lavis.mini.fashiongen.sketch import Layer, Sketch, join


def add_buttons(sketch: Sketch, columns: tuple[float, ...], top: float, bottom: float) -> None:
    """Adds columns of round buttons, about 22 units apart, and the edge of the overlapping front next to them."""
    edge = 7 if len(columns) == 1 else 20
    sketch.line([(edge, top), (edge, bottom)], Layer.SEAM, 1.2)
    if len(columns) == 1:
        sketch.line([(-edge, top), (-edge, bottom)], Layer.SEAM, 1.2)
    rows = max(3, round((bottom - top) / 22))
    for y in np.linspace(top + 10, bottom - 12, rows):
        for x in columns:
            sketch.dot(x, y, 4.2, Layer.BUTTON)


def add_zip(sketch: Sketch, top: float, bottom: float) -> None:
    """Adds a metal zip with teeth and a pull."""
    sketch.band([(0, top), (0, bottom)], Layer.METAL, 6)
    for y in np.arange(top + 2, bottom - 1, 4):
        sketch.line([(-2.6, y), (2.6, y)], Layer.OUTLINE, 1.3)
    sketch.fill([(-3.6, top + 4), (3.6, top + 4), (2.6, top + 17), (-2.6, top + 17)], Layer.METAL)


def add_pockets(sketch: Sketch, x: float, y: float, half: float, height: float, both: bool = True) -> None:
    """Adds a patch pocket with a flap, centred on x, and with `both` its mirror image."""
    for side in (1, -1) if both else (1,):
        centre = side * x
        shape = [
            (centre - half, y), (centre + half, y), (centre + half, y + height * 0.82), (centre, y + height),
            (centre - half, y + height * 0.82),
        ]  # fmt: skip
        sketch.fill(shape, Layer.TRIM)
        flap = [(centre + dx, y + dy) for dx, dy in ((-half, 0), (half, 0), (half, 8), (0, 12), (-half, 8))]
        sketch.fill(flap, Layer.SEAM)


def add_belt(sketch: Sketch, half: float, y: float, back: bool) -> None:
    """Adds a belt around the waist, with a buckle in front."""
    sketch.band([(-half, y), (0, y + 1.5), (half, y)], Layer.BELT, 11)
    if not back:
        sketch.fill([(-8, y - 6.5), (8, y - 6.5), (8, y + 9), (-8, y + 9)], Layer.METAL)
        sketch.fill([(-4.5, y - 3), (4.5, y - 3), (4.5, y + 5.5), (-4.5, y + 5.5)], Layer.BELT)


def add_ruffle(sketch: Sketch, half: float, bottom: float) -> None:
    """Adds a gathered strip below the hem."""
    waves = max(6, round(half / 5))
    x = np.linspace(-half - 7, half + 7, 8 * waves)
    wave = 3.5 * np.abs(np.sin(np.linspace(0, waves * np.pi, 8 * waves)))
    lower = np.stack([x, bottom + 12 + wave], 1)
    sketch.fill(join((-half, bottom - 5), (half, bottom - 5), lower[::-1]), Layer.TRIM)
    for low in lower[8:-1:8]:
        sketch.line([(low[0] * half / (half + 7), bottom - 4), low], Layer.OUTLINE)
