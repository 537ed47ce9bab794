"""Draws the views of a product: a sketch of the garment, cut out of cloth, in soft light on a pale ground.

Shapes are painted at twice the size and reduced, which smooths their edges; everything else happens at the final size.
"""

from collections.abc import Collection

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from fashionfae_lavis.datasets.fashiongen_mini.attributes import Product
from fashionfae_lavis.datasets.fashiongen_mini.bottoms import sketch_skirt, sketch_trousers
from fashionfae_lavis.datasets.fashiongen_mini.fabrics import COLOURS, MARGIN, folds, pattern, texture
from fashionfae_lavis.datasets.fashiongen_mini.sketch import Layer, Points, Sketch
from fashionfae_lavis.datasets.fashiongen_mini.tops import sketch_top

OTHER_POSES = ("back", "turned", "detail")
DETAIL_ZOOM = 1.9
_SLEEVE_ANGLE = 24
_FOLDS = 8
_PATTERNED = {Layer.BODY, Layer.LEFT, Layer.RIGHT}
_CLOTH = _PATTERNED | {Layer.TRIM, Layer.CONTRAST}
# Tables from how far inside the garment a place is to its shading and shadow, in steps: files stay small.
_ROUNDED = [128 - 4 * round(0.05 * (255 - value)) for value in range(256)]
_SHADOW = [6 * round(value * 70 / 255 / 6) for value in range(256)]


def choose_poses(product: Product) -> list[str]:
    """The front and one to three other views."""
    rng = product.generator(2)
    count = int(rng.integers(1, 4))
    return ["front", *(str(pose) for pose in rng.permutation(OTHER_POSES)[:count])]


def draw_views(product: Product, image_size: int) -> list[np.ndarray]:
    """One uint8 (image_size, image_size, 3) RGB picture for each of `choose_poses`."""
    rng = product.generator(3)
    look = product.look()
    front, back = (_sketch(product.subcategory, look, seen_from_behind) for seen_from_behind in (False, True))
    return [
        _draw_view(back if pose == "back" else front, look, pose, image_size, rng)
        for pose in choose_poses(product)
    ]


def _sketch(subcategory: str, look: dict[str, str], back: bool) -> Sketch:
    if subcategory == "SKIRTS":
        return sketch_skirt(look, back)
    if subcategory == "TROUSERS":
        return sketch_trousers(look, back)
    return sketch_top(subcategory, look, back)


def _draw_view(
    sketch: Sketch, look: dict[str, str], pose: str, size: int, rng: np.random.Generator
) -> np.ndarray:
    left, top, right, bottom = sketch.bounds()
    scale = min(0.93 * size / (bottom - top), 0.93 * size / (right - left), 1.75 * size / 256)
    scale *= rng.uniform(0.93, 1.0)
    centre = np.array([0.0, (top + bottom) / 2])
    if pose == "detail":
        scale *= DETAIL_ZOOM
        centre = np.array([rng.uniform(-12, 12), rng.uniform(30, 45) + min(top, 0) * 0.3])
    squeeze = np.array([0.9, 0.58])[:: rng.choice((-1, 1))] if pose == "turned" else np.ones(2)
    shift = size * (0.5 + rng.uniform(-0.02, 0.02, 2))

    def place(points: Points) -> Points:
        """Garment units to pixels at twice the size."""
        x, y = (points - centre).T
        x = x * np.where(x < 0, squeeze[0], squeeze[1])
        return 2 * (np.stack([x, y + (1 - squeeze.min()) * 0.12 * x], 1) * scale + shift)

    layers = sketch.paint(place, 2 * size, 2 * scale, thin=2 * 1.5 * size / 256)
    split = int((shift + ((0, (top + bottom) / 2 + 4) - centre) * scale)[1])
    zoom = DETAIL_ZOOM if pose == "detail" else 1.0
    base, second, contrast = (np.array(colour) + rng.integers(-5, 6) for colour in COLOURS[look["colour"]])
    colours = _flat_colours(base, contrast)
    garment = layers.copy()
    garment.putpalette(np.clip(colours, 0, 255).astype(np.uint8).tobytes())
    garment = garment.convert("RGB").reduce(2)
    corner = rng.integers(0, MARGIN * size // 256, 2)
    for layer in sketch.layers() & _CLOTH:
        mask = _mask(layers, {layer})
        box = mask.getbbox()
        if box:
            cloth = _cloth(layer, look, box, corner, (colours[layer], second), split, size, zoom)
            garment.paste(cloth, box[:2], mask.crop(box))
    return np.asarray(_light(garment, layers, size, rng))


def _flat_colours(base: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """An RGB colour for each layer; lines on dark cloth are lighter than it, so that they show."""
    dark = base.mean() < 80
    colours = np.zeros((len(Layer), 3))
    colours[[Layer.NOTHING, Layer.BODY, Layer.LEFT, Layer.RIGHT]] = base
    colours[Layer.TRIM] = base + (26 if dark else -16)
    colours[Layer.CONTRAST] = contrast
    colours[Layer.INSIDE] = base * 0.45 + (24 if dark else 0)
    colours[Layer.OUTLINE] = base * 0.3 + (0 if dark else 12)
    colours[Layer.SEAM] = base + 46 if dark else base * 0.74
    colours[Layer.METAL] = (205, 207, 214)
    colours[Layer.BUTTON] = (238, 230, 212) if base.mean() < 150 else (70, 54, 46)
    colours[Layer.BELT] = (196, 148, 92) if base.mean() < 110 else (84, 52, 34)
    return colours


def _cloth(
    layer: Layer,
    look: dict[str, str],
    box: tuple[int, int, int, int],
    corner: np.ndarray,
    colours: tuple[np.ndarray, np.ndarray],
    split: int,
    size: int,
    zoom: float,
) -> Image.Image:
    """A piece of cloth for one layer, as large as `box`; below `split` a body may have its second colour."""
    angle = {Layer.LEFT: _SLEEVE_ANGLE, Layer.RIGHT: -_SLEEVE_ANGLE}.get(layer, 0)
    window = (*(box[:2] + corner).tolist(), *(box[2:] + corner).tolist())
    first, second = map(_rgb, colours)
    image = Image.new("RGB", (box[2] - box[0], box[3] - box[1]), first)
    if layer in _PATTERNED and look["pattern"] not in ("plain", "colourblock"):
        image.paste(second, mask=pattern(look["pattern"], size, zoom, angle).crop(window))
    if layer is Layer.BODY and look["pattern"] == "colourblock":
        image.paste(second, (0, max(0, split - box[1]), image.width, image.height))
    if look["fabric"] == "cotton":
        return image
    return _add(image, texture(look["fabric"], size, zoom, angle).crop(window))


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    return tuple(int(value) for value in np.clip(colour, 0, 255))


def _add(image: Image.Image, field: Image.Image) -> Image.Image:
    """Adds a field centred on 128 to all three channels."""
    return ImageChops.add(image, Image.merge("RGB", (field,) * 3), 1, -128)


def _mask(layers: Image.Image, wanted: Collection[Layer]) -> Image.Image:
    """Where these layers are, 0-255, at the final size."""
    table = [0] * 256
    for layer in wanted:
        table[layer] = 255
    return layers.point(table).reduce(2)


def _light(garment: Image.Image, layers: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Folds and round edges on the garment, a soft shadow under it, and the ground."""
    inside = _mask(layers, tuple(Layer)[1:])
    soft = inside.reduce(8).filter(ImageFilter.BoxBlur(1)).resize((size, size), Image.Resampling.BILINEAR)
    bend = folds(size, int(rng.integers(_FOLDS)))
    lit = _add(garment, ImageChops.add(bend, soft.point(_ROUNDED), 1, -128 + int(rng.integers(-6, 9))))

    shade = int(rng.integers(228, 247))
    ground = Image.new("RGB", (size, size), (shade, shade, shade - 2))
    ground.paste((120, 118, 120), (size // 64, size // 42), soft.point(_SHADOW))
    ground.paste(lit, mask=inside)
    return ground
