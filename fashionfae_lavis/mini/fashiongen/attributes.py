"""The attribute space of FashionGen-Mini, and the sampling of products from it.

Pictures show nine attributes (`VISIBLE`); a garment has the ones that make sense for it. Each value is drawn uniformly
and independently, so no attribute reveals another. Brand and season are independent of the picture, and gender is
skewed towards women only for dresses and skirts.

The checksum of a combination of garment and visible attributes decides whether it belongs to validation (one in five),
regardless of the sizes of the splits. No combination therefore occurs in both splits.
"""

import itertools
import zlib
from dataclasses import dataclass

import numpy as np

COLOURS = (
    "black",
    "white",
    "grey",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "navy",
    "purple",
    "pink",
    "brown",
)
PATTERNS = ("plain", "striped", "checked", "dotted", "floral", "colourblock")
VISIBLE = ("colour", "pattern", "fabric", "neckline", "sleeves", "length", "shape", "closure", "trim")

BRANDS = (
    "Aldermoor", "Belvane", "Corrigo", "Dunmere", "Elowick", "Fennstad", "Gildry", "Harrowell", "Ilmarine",
    "Jessamere", "Kestrelle", "Lindqvar", "Morwenna", "Norrvik", "Oakhelm", "Pellarin", "Quillan",
    "Rosendal", "Studio Tavi", "Thornebury", "Umbrel", "Verrano", "Wexcombe", "Yarrow & Pine",
)  # fmt: skip
SEASONS = tuple(f"{half}{year}" for year in (2016, 2017, 2018) for half in ("SS", "FW"))


@dataclass(frozen=True)
class Garment:
    """A subcategory: its category, and the values that each attribute can have."""

    category: str
    options: dict[str, tuple[str, ...]]
    price: int


def _garment(category: str, price: int, **options: str) -> Garment:
    values = {name: tuple(text.split()) for name, text in options.items()}
    return Garment(category, {"colour": COLOURS, "pattern": PATTERNS} | values, price)


GARMENTS = {
    "T-SHIRTS": _garment(
        "TOPS", 90, fabric="cotton linen silk wool", neckline="crew v scoop boat",
        sleeves="short quarter long", length="regular cropped", trim="none pocket contrast"),
    "SHIRTS": _garment(
        "TOPS", 180, fabric="cotton denim silk linen", neckline="pointed band bow",
        sleeves="short quarter long", closure="buttons zip", trim="none pocket contrast"),
    "TANK TOPS": _garment(
        "TOPS", 70, fabric="cotton silk wool linen", neckline="crew v scoop square",
        length="regular cropped", trim="none pocket contrast ruffle"),
    "PULLOVERS": _garment(
        "SWEATERS", 240, fabric="wool cotton linen silk", neckline="crew v turtleneck boat",
        sleeves="short quarter long", length="regular cropped", trim="none pocket contrast"),
    "CARDIGANS": _garment(
        "SWEATERS", 290, fabric="wool cotton linen silk", neckline="crew v shawl",
        sleeves="short quarter long", closure="buttons zip open", trim="none pocket contrast belt"),
    "COATS": _garment(
        "JACKETS & COATS", 720, fabric="wool leather denim cotton corduroy",
        neckline="notched hood funnel shawl",
        sleeves="quarter long", length="knee maxi", closure="buttons zip double",
        trim="none pocket contrast belt"),
    "BLAZERS": _garment(
        "JACKETS & COATS", 480, fabric="wool linen corduroy leather silk", neckline="notched shawl",
        sleeves="sleeveless quarter long", closure="buttons double zip", trim="none pocket contrast belt"),
    "DRESSES": _garment(
        "DRESSES", 380, fabric="cotton silk linen denim wool leather",
        neckline="crew v square boat turtleneck",
        sleeves="sleeveless short quarter long", length="mini knee maxi", closure="none buttons zip",
        trim="none pocket belt ruffle"),
    "SKIRTS": _garment(
        "SKIRTS", 210, fabric="denim leather wool cotton silk corduroy", shape="pencil flared pleated",
        length="mini knee maxi", closure="none buttons zip", trim="none pocket belt ruffle"),
    "TROUSERS": _garment(
        "PANTS", 230, fabric="denim leather cotton wool linen corduroy", shape="slim wide flared",
        length="cropped full", closure="buttons zip", trim="none pocket contrast belt"),
}  # fmt: skip


@dataclass(frozen=True)
class Product:
    """One product. `visible` holds (attribute, value) pairs in the order of `VISIBLE`."""

    product_id: int
    subcategory: str
    visible: tuple[tuple[str, str], ...]
    brand: str
    gender: str
    season: str
    composition: str
    price: float
    stream: tuple[int, int, int]

    @property
    def category(self) -> str:
        return GARMENTS[self.subcategory].category

    def look(self) -> dict[str, str]:
        """Returns the visible attributes of this garment, as attribute -> value."""
        return dict(self.visible)

    def generator(self, use: int) -> np.random.Generator:
        """Returns the product's random stream for one `use` (0 attributes, 1 texts, 2 poses, 3 drawing)."""
        return np.random.default_rng((*self.stream, use))


def held_out(subcategory: str, visible: tuple[tuple[str, str], ...]) -> bool:
    """Returns whether this combination belongs to validation rather than training."""
    return zlib.crc32(repr((subcategory, visible)).encode()) % 5 == 0


def sample_products(split: str, count: int, seed: int = 0) -> list[Product]:
    """Samples `count` products of a split ("train" or "validation"), cycling through the subcategories.

    Combinations within a split are distinct. Two out of three validation products form pairs of siblings, which have
    the same subcategory and differ in exactly one visible attribute.
    """
    validation = split == "validation"
    products: list[Product] = []
    taken = set()
    for index in range(count):
        subcategory = tuple(GARMENTS)[index % len(GARMENTS)]
        cycle = index // len(GARMENTS)
        stream = (seed, int(validation), index)
        rng = np.random.default_rng((*stream, 0))
        paired = validation and cycle % 6 in (1, 3)
        for attempt in itertools.count():
            if paired and attempt < 200:  # for one in thousands of products, no free sibling exists
                visible = change_one(subcategory, products[index - len(GARMENTS)].visible, rng)
            else:
                visible = sample_look(subcategory, rng)
            if held_out(subcategory, visible) == validation and (subcategory, visible) not in taken:
                break
        taken.add((subcategory, visible))
        products.append(complete(subcategory, visible, stream, rng))
    return products


def sample_look(subcategory: str, rng: np.random.Generator) -> tuple[tuple[str, str], ...]:
    """Samples a value for each visible attribute of the garment."""
    options = GARMENTS[subcategory].options
    return tuple((name, str(rng.choice(options[name]))) for name in VISIBLE if name in options)


def change_one(
    subcategory: str, visible: tuple[tuple[str, str], ...], rng: np.random.Generator
) -> tuple[tuple[str, str], ...]:
    """Returns the look with one attribute changed to another value."""
    index = int(rng.integers(len(visible)))
    name, old = visible[index]
    others = [value for value in GARMENTS[subcategory].options[name] if value != old]
    return (*visible[:index], (name, str(rng.choice(others))), *visible[index + 1 :])


def complete(
    subcategory: str,
    visible: tuple[tuple[str, str], ...],
    stream: tuple[int, int, int],
    rng: np.random.Generator,
) -> Product:
    """Makes a product with this look and random invisible attributes; its id encodes the stream."""
    women = 0.9 if subcategory in ("DRESSES", "SKIRTS") else 0.5
    fabric = dict(visible)["fabric"]
    return Product(
        product_id=100_000 * (1 + stream[1]) + stream[2],
        subcategory=subcategory,
        visible=visible,
        brand=str(rng.choice(BRANDS)),
        gender="Women" if rng.random() < women else "Men",
        season=str(rng.choice(SEASONS)),
        composition=f"100% {fabric}" if rng.random() < 0.75 else f"{fabric} blend",
        price=float(round(GARMENTS[subcategory].price * rng.uniform(0.6, 1.6) / 5) * 5),
        stream=stream,
    )
