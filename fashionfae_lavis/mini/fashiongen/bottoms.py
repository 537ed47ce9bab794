"""Silhouettes of skirts and trousers."""

import numpy as np

from fashionfae_lavis.mini.fashiongen.details import (
    add_belt,
    add_buttons,
    add_pockets,
    add_ruffle,
    add_zip,
)
from fashionfae_lavis.mini.fashiongen.sketch import Layer, Points, Sketch, curve, join, mirror, whole

_SKIRT_LENGTH = {"mini": 88, "knee": 146, "maxi": 226}
_LEG_LENGTH = {"cropped": 176, "full": 258}
# Trousers: half the width of a leg at knee and ankle.
_LEGS = {"slim": (15, 10.5), "wide": (26, 31), "flared": (14, 31)}
WAIST = 34


def sketch_skirt(look: dict[str, str], back: bool) -> Sketch:
    """Sketches a skirt from the front or the back."""
    sketch = Sketch()
    bottom = _SKIRT_LENGTH[look["length"]]
    sketch.fill(whole(_skirt_half(look["shape"], bottom)), Layer.BODY)
    hem = _hem_width(look["shape"], bottom)
    _add_skirt_folds(sketch, look["shape"], hem, bottom)
    if look["trim"] == "ruffle":
        add_ruffle(sketch, hem, bottom)
    if not back:
        if look["closure"] == "buttons":
            add_buttons(sketch, (0,), 12, bottom - 4)
        elif look["closure"] == "zip":
            add_zip(sketch, 12, min(bottom - 10, 110))
    if look["trim"] == "pocket":
        add_pockets(sketch, 23, 30, 12.5, 29)
    _add_waistband(sketch, look["trim"], back)
    return sketch


def _hem_width(shape: str, bottom: float) -> float:
    return {"pencil": 42 - bottom * 0.03, "flared": 44 + bottom * 0.22, "pleated": 42 + bottom * 0.13}[shape]


def _skirt_half(shape: str, bottom: float) -> Points:
    hem = _hem_width(shape, bottom)
    hip = (46, 46) if shape == "pencil" else (WAIST + (hem - WAIST) * 42 / bottom + 5, 42)
    side = curve((WAIST, 0), hip, (hem, bottom))
    if shape != "pleated":
        return join((0, 0), side, curve((hem * 0.6, bottom + 3), (0, bottom + 4)))
    tips = [(hem * x, bottom + (4 if i % 2 else -1)) for i, x in enumerate(np.linspace(1, 0, 8))]
    return join((0, 0), side, tips)


def _add_skirt_folds(sketch: Sketch, shape: str, hem: float, bottom: float) -> None:
    if shape == "pleated":
        for x in np.linspace(-1, 1, 15)[1:-1]:
            sketch.line([(x * WAIST, 8), (x * hem * 0.97, bottom)], Layer.OUTLINE, 1.3)
    elif shape == "flared":
        for x in (-0.7, -0.35, 0.3, 0.65):
            sketch.line(
                curve((x * hem * 0.5, bottom * 0.3), (x * hem * 0.75, bottom * 0.6), (x * hem, bottom)),
                Layer.SEAM,
                1.6,
            )
    else:
        for side in (-1, 1):
            sketch.line([(side * 16, 10), (side * 19, 34)], Layer.SEAM)
        sketch.line([(0, bottom - 26), (0, bottom + 3)], Layer.SEAM, 1.6)
    if shape != "pleated":
        sketch.line(curve((-hem, bottom - 5), (0, bottom - 1), (hem, bottom - 5)), Layer.SEAM)


def sketch_trousers(look: dict[str, str], back: bool) -> Sketch:
    """Sketches trousers from the front or the back."""
    sketch = Sketch()
    bottom = _LEG_LENGTH[look["length"]]
    knee, ankle = _LEGS[look["shape"]]
    leg = _leg(knee, ankle, bottom)
    for turned in (mirror(leg), leg):
        sketch.fill(turned, Layer.BODY)
    for side in (-1, 1):
        sketch.line(
            curve((side * 20, 34), (side * 25, 120), (side * _leg_centre(bottom, ankle), bottom - 8)),
            Layer.SEAM,
        )  # the crease
        sketch.line(curve((side * 3, 84), (side * 10, 92), (side * 18, 90)), Layer.SEAM)
        if not back:
            sketch.line(curve((side * 24, 9), (side * 29, 26), (side * 43, 34)), Layer.OUTLINE)
    if look["trim"] == "contrast":
        for side in (-1, 1):
            centre = _leg_centre(bottom, ankle) * side
            half = ankle - 0.5
            sketch.band([(centre - half, bottom - 5), (centre + half, bottom - 5)], Layer.CONTRAST, 12)
    sketch.line([(0, 8), (0, 82)], Layer.OUTLINE, 1.2)
    if not back:
        if look["closure"] == "zip":
            add_zip(sketch, 11, 78)
        else:
            add_buttons(sketch, (0,), 8, 78)
    if look["trim"] == "pocket":
        add_pockets(sketch, 27 if bottom < 200 else 28, 100, 13, 34)
    _add_waistband(sketch, look["trim"], back)
    return sketch


def _leg_centre(y: float, ankle: float) -> float:
    return 23.5 + max(0, y - 84) * (0.06 + 0.0035 * ankle)


def _width_at(knee: float, ankle: float, bottom: float, y: float) -> float:
    """Returns half the width of a leg at height y, interpolated between thigh, knee and ankle."""
    return float(np.interp(y, (84, 0.6 * bottom, bottom), (23.5, knee, ankle)))


def _leg(knee: float, ankle: float, bottom: float) -> Points:
    heights = [y for y in (100, 125, 150, 175, 200, 230, 258) if y < bottom - 8] + [bottom]
    outer = [(_leg_centre(y, ankle) + _width_at(knee, ankle, bottom, y), y) for y in heights]
    inner = [(max(0.5, _leg_centre(y, ankle) - _width_at(knee, ankle, bottom, y)), y) for y in reversed(heights)]
    return join((0, 0), curve((WAIST, 0), (44, 40), (46, 72), *outer), curve(*inner, (0, 86)))


def _add_waistband(sketch: Sketch, trim: str, back: bool) -> None:
    layer = Layer.CONTRAST if trim == "contrast" else Layer.TRIM
    sketch.band([(-WAIST - 0.5, 4), (WAIST + 0.5, 4)], layer, 11)
    if trim == "belt":
        add_belt(sketch, WAIST + 1, 4, back)
    for x in (-22, 22):
        sketch.line([(x, -1), (x, 10)], Layer.OUTLINE, 1.8)
