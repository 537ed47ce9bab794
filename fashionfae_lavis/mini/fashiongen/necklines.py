"""Necklines, collars, lapels and hoods."""

from fashionfae_lavis.mini.fashiongen.sketch import Layer, Points, Sketch, curve, join, mirror, whole

# The right half of the front's upper edge, from the centre line to the shoulder.
_EDGES = {
    "crew": curve((0, 15), (11, 11), (18, -1)),
    "v": join((0, 52), (18, -1)),
    "scoop": curve((0, 42), (14, 36), (21, 18), (23, 0)),
    "boat": curve((0, 8), (18, 6.5), (34, 3)),
    "square": join((0, 32), (21, 32), (22, 0)),
    "turtleneck": curve((0, 8), (10, 6), (17, -2)),
    "pointed": join((0, 22), (16, -3)),
    "band": curve((0, 12), (10, 8), (16, -2)),
    "bow": curve((0, 10), (10, 7), (16, -2)),
    "notched": join((0, 74), (16, -3)),
    "shawl": join((0, 74), (16, -3)),
    "hood": curve((0, 16), (11, 12), (18, -1)),
    "funnel": curve((0, 10), (11, 7), (19, -1)),
}
_BACK = {"boat": curve((0, 3), (18, 3), (34, 3)), "square": curve((0, 6), (14, 4), (22, 0))}
_HIGH = curve((0, 3), (10, 1.5), (17, -2))
_BANDED = ("crew", "v", "scoop", "boat", "square")


def neck_edge(neckline: str, back: bool) -> Points:
    """Returns the upper edge of the body: points from the centre line to the right shoulder."""
    return _BACK.get(neckline, _HIGH) if back else _EDGES[neckline]


def add_neck(sketch: Sketch, neckline: str, back: bool, trim: Layer, behind: bool) -> None:
    """Adds the parts `behind` the body (the inside of the back, a hood), or those on top of it (a collar)."""
    if behind:
        if neckline == "hood":
            sketch.fill(_hood(), Layer.BODY)
        elif not back:
            width = _EDGES[neckline][-1][0]
            top = curve((0, 2), (width * 0.6, 0), (width, -3))
            sketch.fill(whole(join(top, (width + 2, 8), _EDGES[neckline][::-1])), Layer.INSIDE)
            if neckline in _BANDED:
                sketch.band(whole_edge(top * (0.95, 1) + (0, 3)), trim, 5)
        return
    if neckline in _BANDED:
        edge = neck_edge(neckline, back).copy()
        edge[-1, 1] += 2.5  # keeps the cut end of the band from showing above the shoulder
        sketch.band(whole_edge(edge), trim, 5.5)
    elif back:
        _COLLARS_BEHIND.get(neckline, _collar_behind)(sketch, trim)
    else:
        _COLLARS[neckline](sketch, trim)


def whole_edge(edge: Points) -> Points:
    """Completes a right half to the edge from the left to the right shoulder."""
    return join(mirror(edge)[::-1], edge)


def _hood() -> Points:
    return whole(join(curve((0, -58), (22, -52), (33, -28), (24, 2)), (24, 12), (0, 12)))


def _hood_front(sketch: Sketch, trim: Layer) -> None:
    opening = whole(curve((0, -44), (17, -36), (21, -16), (13, 6), (0, 18)))
    sketch.fill(opening, Layer.INSIDE)
    sketch.band(join(opening, opening[:1]), trim, 4.5)
    for side in (-1, 1):
        sketch.line(curve((side * 7, 14), (side * 9, 34), (side * 8, 52)), Layer.OUTLINE, 3.6)
        sketch.line(curve((side * 7, 14), (side * 9, 34), (side * 8, 50)), Layer.METAL, 2)


def _hood_back(sketch: Sketch, trim: Layer) -> None:
    sketch.fill(whole(join(curve((0, -58), (22, -52), (33, -28), (26, 6)), curve((18, 20), (0, 26)))), Layer.BODY)
    sketch.line([(0, -56), (0, 24)], Layer.SEAM, 1.5)


def _tube(width: float, height: float) -> Points:
    """Returns the right half of a standing collar."""
    base = width + 3
    top = curve((0, -height + 4), (width * 0.7, -height + 2.5), (width, -height))
    side = curve((width, -height), (width - 0.5, -height * 0.4), (base, 2))
    return join(top, side, curve((base, 2), (base * 0.6, 10), (0, 13)))


def _turtleneck(sketch: Sketch, trim: Layer) -> None:
    sketch.fill(whole(_tube(17, 24)), trim)
    fold = curve((-18, -6), (0, -1), (18, -6))
    sketch.line(fold, Layer.OUTLINE)
    for x in (-13, -8.5, -4, 0, 4, 8.5, 13):
        sketch.line([(x, -20), (x, -4)], Layer.SEAM)


def _funnel(sketch: Sketch, trim: Layer) -> None:
    sketch.fill(whole(_tube(24, 27)), trim)
    sketch.fill(whole(curve((0, -30), (14, -29), (23, -25), (14, -21), (0, -20))), Layer.INSIDE)
    sketch.line(curve((-25, -4), (0, 3), (25, -4)), Layer.SEAM, 1.5)
    sketch.line([(0, -20), (0, 12)], Layer.OUTLINE, 1.4)


def _pointed(sketch: Sketch, trim: Layer) -> None:
    flap = join((0, 16), curve((6, 2), (13, -9), (17, -7)), (24, 6), (17, 34))
    for turned in (flap, mirror(flap)):
        sketch.fill(turned, trim)


def _band(sketch: Sketch, trim: Layer) -> None:
    sketch.band(whole_edge(curve((1.5, 14), (10, 10), (17, -6))), trim, 12)
    sketch.line([(0, 8), (0, 26)], Layer.OUTLINE, 1.8)
    sketch.dot(0, 14, 3.0, Layer.BUTTON)


def _bow(sketch: Sketch, trim: Layer) -> None:
    sketch.band(whole_edge(curve((0, 13), (10, 9), (17, -4))), trim, 9)
    loop = join((0, 17), curve((14, 4), (30, 3), (32, 18), (28, 31), (14, 27)))
    tail = join((0, 17), (5, 40), curve((11, 58), (17, 74)), (26, 66), curve((18, 46), (8, 24)))
    for shape in (tail, loop):
        sketch.fill(shape, trim)
        sketch.fill(mirror(shape), trim)
    sketch.line([(5, 17), (18, 15)], Layer.OUTLINE)
    sketch.line([(-5, 17), (-18, 15)], Layer.OUTLINE)
    sketch.fill([(-5.5, 10), (5.5, 10), (5.5, 25), (-5.5, 25)], trim)


def _notched(sketch: Sketch, trim: Layer) -> None:
    lapel = join((0, 78), (16, -4), (24, 20), (37, 25), (33, 42), (3, 82))
    collar = join((11, -8), (19, -7), (34, 13), (27, 23), (23, 19), (15, -2))
    for shape in (lapel, collar):
        sketch.fill(shape, trim)
        sketch.fill(mirror(shape), trim)


def _shawl(sketch: Sketch, trim: Layer) -> None:
    lapel = join((0, 76), (14, -3), curve((19, -8), (32, 14), (33, 38), (20, 62), (3, 82)))
    sketch.fill(lapel, trim)
    sketch.fill(mirror(lapel), trim)


def _collar_behind(sketch: Sketch, trim: Layer) -> None:
    sketch.fill(whole(join(curve((0, -9), (10, -8), (17, -3)), curve((22, 8), (10, 14), (0, 15)))), trim)


def _band_behind(sketch: Sketch, trim: Layer) -> None:
    sketch.band(curve((-16, -4), (0, 1), (16, -4)), trim, 10)


_COLLARS = {
    "turtleneck": _turtleneck, "funnel": _funnel, "pointed": _pointed, "band": _band, "bow": _bow,
    "notched": _notched, "shawl": _shawl, "hood": _hood_front,
}  # fmt: skip
_COLLARS_BEHIND = {
    "turtleneck": _turtleneck,
    "funnel": _turtleneck,
    "hood": _hood_back,
    "band": _band_behind,
    "bow": _band_behind,
}
