"""Which garments FashionIQ-Mini shows, and which of them is asked for from which.

A family has five garments of one kind: the second, third and fifth are changes of the first, the fourth of the second.
Each is asked for with the garment that it is a change of in sight, in one or two visible attributes. So a reference
image alone does not say which relative is meant, and a text alone ("is red") fits garments of many families. In
validation nobody asks for the fifth: it is in the gallery of all images, but not in that of the queried ones.
"""

from dataclasses import dataclass

import numpy as np

from fashionfae_lavis.datasets.fashiongen_mini.attributes import (
    VISIBLE,
    Product,
    change_one,
    complete,
    held_out,
    sample_look,
)

# FashionIQ's classes: dresses; shirts, T-shirts among them; women's tops. Coats, blazers, skirts and trousers have no
# place there.
CLASSES = {
    "dress": ("DRESSES",),
    "shirt": ("SHIRTS", "T-SHIRTS"),
    "toptee": ("TANK TOPS", "PULLOVERS", "CARDIGANS"),
}
FAMILY = 5
PARENTS = (None, 0, 0, 1, 0)  # the garment that each garment of a family is a change of
ASKED = {"train": (1, 2, 3, 4), "val": (1, 2, 3)}
TWO_CHANGES = 0.4  # share of the requests that change two attributes

Look = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """`target` is asked for, with `reference` in sight; both are of the same kind of garment."""

    reference: Product
    target: Product

    def changes(self) -> list[str]:
        """The visible attributes in which they differ, one or two."""
        old, new = self.reference.look(), self.target.look()
        return [name for name in VISIBLE if old.get(name) != new.get(name)]


def image_id(product: Product) -> str:
    """A name of ten characters, as FashionIQ's images have."""
    return f"B{product.product_id:09d}"


def sample_families(split: str, families: int, seed: int) -> dict[str, tuple[list[Product], list[Request]]]:
    """For each class its garments, `families` times five of them, and the requests.

    Garments of validation are combinations that FashionGen-Mini holds out, those of training are not: neither data set
    trains on what the other one tests. No two garments of a split look the same.
    """
    taken: set[tuple[str, Look]] = set()
    sampled, count = {}, 0
    for name, subcategories in CLASSES.items():
        garments, requests = [], []
        for number in range(families):
            family = _sample_family(subcategories[number % len(subcategories)], split, seed, count, taken)
            count += FAMILY
            garments += family
            requests += [Request(family[PARENTS[member]], family[member]) for member in ASKED[split]]
        sampled[name] = garments, requests
    return sampled


def _sample_family(subcategory: str, split: str, seed: int, first: int, taken: set[tuple[str, Look]]) -> list[Product]:
    family: list[Product] = []
    for member in range(FAMILY):
        # FashionGen-Mini's streams have 0 and 1 in the middle.
        stream = (seed, 2 + list(ASKED).index(split), first + member)
        rng = np.random.default_rng((*stream, 0))
        parent = PARENTS[member]
        while True:
            if parent is None:
                look = sample_look(subcategory, rng)
            else:
                look = _changed(subcategory, family[parent].visible, rng)
            if held_out(subcategory, look) == (split == "val") and (subcategory, look) not in taken:
                break
        taken.add((subcategory, look))
        family.append(complete(subcategory, look, stream, rng))
    return family


def _changed(subcategory: str, look: Look, rng: np.random.Generator) -> Look:
    changed = change_one(subcategory, look, rng)
    if rng.random() < TWO_CHANGES:
        changed = change_one(subcategory, changed, rng)  # once in a while it is the same attribute again
    return changed if changed != look else _changed(subcategory, look, rng)
