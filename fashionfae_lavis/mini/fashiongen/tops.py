"""Silhouettes of garments that hang from the shoulders: tops, sweaters, jackets, coats and dresses."""

from dataclasses import dataclass

import numpy as np

from fashionfae_lavis.mini.fashiongen.details import (
    add_belt,
    add_buttons,
    add_pockets,
    add_ruffle,
    add_zip,
)
from fashionfae_lavis.mini.fashiongen.necklines import add_neck, neck_edge
from fashionfae_lavis.mini.fashiongen.sketch import Layer, Points, Sketch, curve, join, mirror, whole


@dataclass(frozen=True)
class Cut:
    """Half widths of the body, and the y coordinate of its hem (`bottom`)."""

    shoulder: float
    chest: float
    waist: float
    hem: float
    bottom: float


_CUTS = {
    ("T-SHIRTS", "regular"): Cut(43, 41, 40, 42, 136),
    ("T-SHIRTS", "cropped"): Cut(43, 41, 41, 42, 90),
    ("SHIRTS", None): Cut(44, 42, 40, 44, 152),
    ("TANK TOPS", "regular"): Cut(29, 38, 36, 41, 132),
    ("TANK TOPS", "cropped"): Cut(29, 38, 37, 38, 88),
    ("PULLOVERS", "regular"): Cut(49, 48, 49, 43, 140),
    ("PULLOVERS", "cropped"): Cut(49, 48, 49, 44, 98),
    ("CARDIGANS", None): Cut(47, 46, 46, 46, 152),
    ("BLAZERS", None): Cut(47, 43, 37, 47, 150),
    ("COATS", "knee"): Cut(49, 47, 46, 58, 208),
    ("COATS", "maxi"): Cut(49, 47, 46, 64, 268),
    ("DRESSES", "mini"): Cut(40, 37, 29, 54, 150),
    ("DRESSES", "knee"): Cut(40, 37, 29, 62, 205),
    ("DRESSES", "maxi"): Cut(40, 37, 29, 74, 268),
}  # fmt: skip
_SLEEVES = {
    "short": (34, 36, 31),
    "quarter": (82, 25, 23),
    "long": (124, 21, 19),
}  # length, degrees, width at end
_KNITS = ("PULLOVERS", "CARDIGANS")
_HIP_POCKETS = ("CARDIGANS", "BLAZERS", "COATS", "DRESSES")
WAIST = 88


def sketch_top(subcategory: str, look: dict[str, str], back: bool) -> Sketch:
    """Sketches the garment from the front, or from the back, which has a high neckline and no closure."""
    sketch = Sketch()
    cut = _CUTS[subcategory, look.get("length")]
    sleeves = look.get("sleeves", "sleeveless")
    if sleeves == "sleeveless":
        cut = Cut(min(cut.shoulder, 33), cut.chest, cut.waist, cut.hem, cut.bottom)
    trim = Layer.CONTRAST if look["trim"] == "contrast" else Layer.TRIM
    knit = subcategory in _KNITS

    add_neck(sketch, look["neckline"], back, trim, behind=True)
    if sleeves != "sleeveless":
        _add_sleeves(sketch, cut, sleeves, knit, trim)
    edge = neck_edge(look["neckline"], back)
    body = _body(cut, edge, sleeves == "sleeveless", tail=subcategory == "SHIRTS")
    sketch.fill(body, Layer.BODY)
    _add_seams(sketch, cut, subcategory, sleeves == "sleeveless")
    if knit or (trim is Layer.CONTRAST and subcategory != "SHIRTS"):
        _add_hem(sketch, cut, trim, knit)
    if look["trim"] == "ruffle":
        add_ruffle(sketch, cut.hem, cut.bottom)
    if not back:
        _add_closure(sketch, look.get("closure", "none"), edge[0][1], cut, subcategory)
    if look["trim"] == "pocket" and not back:
        if subcategory in _HIP_POCKETS:
            add_pockets(sketch, 23, 102, 13, 30)
        else:
            add_pockets(sketch, 21, 48, 12, 27, both=False)
    if look["trim"] == "belt":
        add_belt(sketch, cut.waist + 1, WAIST, back)
    add_neck(sketch, look["neckline"], back, trim, behind=False)
    return sketch


def _armhole(cut: Cut, bare: bool) -> Points:
    dip = 8 if bare else 2
    return curve((cut.shoulder, 7), (cut.shoulder - dip * 0.8, 28), (cut.chest, 47))


def _body(cut: Cut, edge: Points, bare: bool, tail: bool) -> Points:
    """Returns the outline of the body: neckline, shoulder, armhole, side seam, hem."""
    side = curve((cut.chest, 47), (cut.waist, WAIST), *_below_waist(cut), (cut.hem, cut.bottom))
    hem = join((cut.hem * 0.6, cut.bottom + 2.5), (0, cut.bottom + 3))
    if tail:
        hem = curve((cut.hem, cut.bottom - 14), (cut.hem - 12, cut.bottom - 4), (0, cut.bottom + 4))
    return whole(join(edge, _armhole(cut, bare), side[:-3] if tail else side, hem))


def _below_waist(cut: Cut) -> list[tuple[float, float]]:
    """Returns a point that makes long skirts flare from the hip rather than straight from the waist."""
    if cut.bottom < 140:
        return []
    share = 36 / (cut.bottom - WAIST)
    return [(cut.waist + (cut.hem - cut.waist) * (share + 0.1), WAIST + 36)]


def _add_sleeves(sketch: Sketch, cut: Cut, sleeves: str, knit: bool, trim: Layer) -> None:
    length, degrees, end = _SLEEVES[sleeves]
    along = np.array([np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))])
    across = np.array([-along[1], along[0]])  # from the outer to the inner edge
    top, pit = np.array([cut.shoulder, 7.0]), np.array([cut.chest - 3, 49.0])
    outer = top + along * length
    inner = outer + across * end
    middle = (top + outer) / 2 - across * (7 if knit else 2)
    low = (pit + inner) / 2 + across * (5 if knit else 1)
    shape = join(
        (cut.shoulder - 14, 4),
        curve(top, middle, outer),
        curve(inner, low, pit),
        (cut.shoulder - 14, 46),
    )
    cuff = join(outer - along * 4, inner - along * 4)
    for turn, layer in ((lambda p: p, Layer.RIGHT), (mirror, Layer.LEFT)):
        sketch.fill(turn(shape), layer)
        if knit or trim is Layer.CONTRAST:
            sketch.band(turn(cuff), trim, 10)
        else:
            sketch.line(turn(cuff), Layer.SEAM)
        crease = curve(pit + (2, 4), (pit + outer) / 2, outer - along * length * 0.35)
        sketch.line(turn(crease), Layer.SEAM)


def _add_seams(sketch: Sketch, cut: Cut, subcategory: str, bare: bool) -> None:
    """Adds folds under the arms, the waist and flare of a dress, the darts of a blazer, and hem stitching."""

    def both(points: Points) -> None:
        sketch.line(points, Layer.SEAM)
        sketch.line(mirror(points), Layer.SEAM)

    both(curve((cut.chest - 3, 55), (cut.chest - 12, 60), (cut.chest - 19, 58)))
    if subcategory == "DRESSES":
        sketch.line([(-cut.waist, WAIST), (0, WAIST + 3), (cut.waist, WAIST)], Layer.SEAM, 1.4)
        for x in (0.35, 0.75):
            both(
                curve(
                    (cut.waist * x, WAIST + 8),
                    (cut.hem * x * 0.85, (WAIST + cut.bottom) / 2),
                    (cut.hem * x, cut.bottom - 6),
                )
            )
    elif subcategory in ("BLAZERS", "COATS"):
        both(curve((cut.chest - 17, 62), (cut.waist - 15, WAIST), (cut.hem - 20, cut.bottom - 12)))
    if subcategory not in ("SHIRTS", *_KNITS):
        sketch.line([(-cut.hem, cut.bottom - 4), (0, cut.bottom - 1.5), (cut.hem, cut.bottom - 4)], Layer.SEAM)
    if bare:
        both(_armhole(cut, True) - (2.6, 0))


def _add_hem(sketch: Sketch, cut: Cut, trim: Layer, knit: bool) -> None:
    """Adds a ribbed or contrasting band along the hem."""
    width = 12 if knit else 9
    y, half = cut.bottom - 3, cut.hem - 1.5
    line = curve((-half, y - 2), (0, y + 1), (half, y - 2))
    sketch.band(line, trim, width)
    if knit:
        for x in np.linspace(-half + 4, half - 4, 15):
            sketch.line([(x, y - 5), (x, y + 6)], Layer.SEAM)


def _add_closure(sketch: Sketch, closure: str, top: float, cut: Cut, subcategory: str) -> None:
    bottom = cut.bottom - 2
    if closure == "open":
        gap = join((0, top - 3), curve((5, top + 30), (8, bottom - 20), (11, bottom + 5)))
        sketch.fill(whole(gap), Layer.INSIDE)
    elif closure == "zip":
        add_zip(sketch, top, bottom if subcategory != "DRESSES" else WAIST + 40)
    elif closure == "buttons":
        add_buttons(sketch, (0,), top, bottom)
    elif closure == "double":
        add_buttons(sketch, (-12, 12), max(top, 52), min(bottom, 168))
