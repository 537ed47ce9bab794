"""Drawing of the views of a product: a sketch of the garment, cut out of cloth, in soft light on a pale background.

Shapes are painted at twice the size and then reduced, which smooths their edges. Everything else is drawn at the final
size.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from fashionfae_lavis.mini.fashiongen.attributes import Product
from fashionfae_lavis.mini.fashiongen.bottoms import sketch_skirt, sketch_trousers
from fashionfae_lavis.mini.fashiongen.fabrics import COLOURS, MARGIN, folds, pattern, texture
from fashionfae_lavis.mini.fashiongen.sketch import Layer, Points, Sketch
from fashionfae_lavis.mini.fashiongen.tops import sketch_top

OTHER_POSES = ("back", "turned", "detail")
DETAIL_ZOOM = 1.9
_SLEEVE_ANGLE = 24
_FOLDS = 8
_CLOTH = (Layer.BODY, Layer.LEFT, Layer.RIGHT, Layer.TRIM, Layer.CONTRAST)
# Distance of a pixel to the garment's edge -> shading and shadow, in steps, which keeps files small.
_ROUNDED = [128 - 4 * round(0.05 * (255 - value)) for value in range(256)]
_SHADOW = [6 * round(value * 70 / 255 / 6) for value in range(256)]


def choose_poses(product: Product) -> list[str]:
    """Chooses the front and one to three other random poses."""
    rng = product.generator(2)
    count = int(rng.integers(1, 4))
    return ["front", *(str(pose) for pose in rng.permutation(OTHER_POSES)[:count])]


def draw_views(product: Product, image_size: int) -> list[np.ndarray]:
    """Draws one uint8 (image_size, image_size, 3) RGB picture for each of `choose_poses`."""
    rng = product.generator(3)
    look = product.look()
    front, back = (_sketch(product.subcategory, look, back=side) for side in (False, True))
    return [
        _draw_view(back if pose == "back" else front, look, pose, image_size, rng) for pose in choose_poses(product)
    ]


def draw_front(product: Product, image_size: int) -> np.ndarray:
    """Draws only the first of `draw_views`."""
    look = product.look()
    return _draw_view(_sketch(product.subcategory, look, False), look, "front", image_size, product.generator(3))


def _sketch(subcategory: str, look: dict[str, str], back: bool) -> Sketch:
    if subcategory == "SKIRTS":
        return sketch_skirt(look, back)
    if subcategory == "TROUSERS":
        return sketch_trousers(look, back)
    return sketch_top(subcategory, look, back)


def _draw_view(sketch: Sketch, look: dict[str, str], pose: str, size: int, rng: np.random.Generator) -> np.ndarray:
    left, top, right, bottom = sketch.bounds()
    scale = min(0.93 * size / (bottom - top), 0.93 * size / (right - left), 1.75 * size / 256)
    scale *= rng.uniform(0.93, 1.0)
    centre = np.array([0.0, (top + bottom) / 2])
    if pose == "detail":
        scale *= DETAIL_ZOOM
        centre = np.array([rng.uniform(-12, 12), rng.uniform(30, 45) + min(top, 0) * 0.3])
    squeeze = np.array([0.9, 0.58])[:: rng.choice((-1, 1))] if pose == "turned" else np.ones(2)
    shift = size * (0.5 + rng.uniform(-0.02, 0.02, 2))

    def to_pixels(points: Points) -> Points:
        """Converts garment units to pixels at twice the size."""
        x, y = (points - centre).T
        x = x * np.where(x < 0, squeeze[0], squeeze[1])
        return 2 * (np.stack([x, y + (1 - squeeze.min()) * 0.12 * x], 1) * scale + shift)

    layers = sketch.paint(to_pixels, 2 * size, 2 * scale, thin=2 * 1.5 * size / 256)
    base, second, contrast = (np.array(colour) + rng.integers(-5, 6) for colour in COLOURS[look["colour"]])
    cloth = _Cloth(
        look,
        colours=np.clip(_flat_colours(base, contrast), 0, 255).astype(np.uint8),
        second=tuple(np.clip(second, 0, 255).tolist()),
        split=int((shift + ((0, (top + bottom) / 2 + 4) - centre) * scale)[1]),
        zoom=DETAIL_ZOOM if pose == "detail" else 1.0,
        size=size,
        corner=(rng.uniform(0, MARGIN, 2) * size / 256).astype(int),
    )
    return np.asarray(_light(_dress(layers, cloth), layers, size, rng))


def _dress(layers: Image.Image, cloth: "_Cloth") -> Image.Image:
    """Draws the garment at the final size on a background of its colour: first flat colours, then cloth."""
    garment = layers.copy()
    garment.putpalette(cloth.colours.tobytes())
    garment = garment.convert("RGB").reduce(2)
    for layer in _CLOTH:
        area = _only(layers, (layer,))
        extent = area.getbbox()
        if extent:
            left, top, right, bottom = extent[0] // 2, extent[1] // 2, (extent[2] + 1) // 2, (extent[3] + 1) // 2
            mask = area.reduce(2, box=(2 * left, 2 * top, 2 * right, 2 * bottom))
            garment.paste(cloth.cut(layer, (left, top, right, bottom)), (left, top), mask)
    return garment


def _flat_colours(base: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Returns an RGB colour for each layer; lines on dark cloth are lighter than the cloth to remain visible."""
    dark = base.mean() < 80
    colours = np.zeros((len(Layer), 3))
    colours[[Layer.NOTHING, Layer.BODY, Layer.LEFT, Layer.RIGHT]] = base
    colours[Layer.TRIM] = base + (26 if dark else -16)
    colours[Layer.CONTRAST] = contrast
    colours[Layer.INSIDE] = base * 0.45 + (24 if dark else 0)
    colours[Layer.OUTLINE] = base * 0.3 + (0 if dark else 12)
    colours[Layer.SEAM] = base + 46 if dark else base * 0.64
    colours[Layer.METAL] = (205, 207, 214)
    colours[Layer.BUTTON] = (238, 230, 212) if base.mean() < 150 else (70, 54, 46)
    colours[Layer.BELT] = (196, 148, 92) if base.mean() < 110 else (84, 52, 34)
    return colours


@dataclass(frozen=True)
class _Cloth:
    """The patterned and textured cloth of one view.

    Attributes:
        look: the product's visible attributes.
        colours: uint8 (layers, 3).
        second: the second colour of the pattern.
        split: the row below which a colour-blocked body has its second colour.
        zoom: magnification of pattern and texture.
        size: width and height of the picture.
        corner: position of the picture in the fields of pattern and texture.
    """

    look: dict[str, str]
    colours: np.ndarray
    second: tuple[int, int, int]
    split: int
    zoom: float
    size: int
    corner: np.ndarray

    def cut(self, layer: Layer, box: tuple[int, int, int, int]) -> Image.Image:
        """Cuts a piece of cloth for one layer, for the region `box` of the picture."""
        angle = {Layer.LEFT: _SLEEVE_ANGLE, Layer.RIGHT: -_SLEEVE_ANGLE}.get(layer, 0)
        window = (*(box[:2] + self.corner).tolist(), *(box[2:] + self.corner).tolist())
        name, fabric = self.look["pattern"], self.look["fabric"]
        piece = Image.new("RGB", (box[2] - box[0], box[3] - box[1]), tuple(self.colours[layer].tolist()))
        if name == "colourblock" and layer is Layer.BODY:
            piece.paste(self.second, (0, max(0, self.split - box[1]), piece.width, piece.height))
        elif name not in ("plain", "colourblock") and layer in (Layer.BODY, Layer.LEFT, Layer.RIGHT):
            piece.paste(self.second, mask=pattern(name, self.size, self.zoom, angle).crop(window))
        if fabric == "cotton":  # smooth
            return piece
        return _add(piece, texture(fabric, self.size, self.zoom, angle).crop(window))


def _add(image: Image.Image, field: Image.Image) -> Image.Image:
    """Adds a field, which is centred on 128, to all three channels."""
    return ImageChops.add(image, Image.merge("RGB", (field,) * 3), 1, -128)


def _only(layers: Image.Image, wanted: Collection[Layer]) -> Image.Image:
    """Returns a mask at twice the final size, 255 in these layers and 0 elsewhere."""
    table = [0] * 256
    for layer in wanted:
        table[layer] = 255
    return layers.point(table)


def _light(garment: Image.Image, layers: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Adds folds and rounded edges to the garment, a soft shadow under it, and the background."""
    inside = _only(layers, tuple(Layer)[1:]).reduce(2)
    soft = inside.reduce(8).filter(ImageFilter.BoxBlur(1)).resize((size, size), Image.Resampling.BILINEAR)
    bend = folds(size, int(rng.integers(_FOLDS)))
    lit = _add(garment, ImageChops.add(bend, soft.point(_ROUNDED), 1, -128 + int(rng.integers(-6, 9))))

    shade = int(rng.integers(234, 243))
    ground = Image.new("RGB", (size, size), (shade, shade, shade - 2))
    ground.paste((120, 118, 120), (size // 64, size // 42), soft.point(_SHADOW))
    ground.paste(lit, mask=inside)
    return ground
