"""Which garments FashionIQ-Mini shows, and which of them is asked for with which in sight.

Garments come in pools: of one kind, and alike in all but a few attributes, of which a pool has most combinations. Each
request changes one or two of these attributes. So there are always many garments that differ from the reference as
little as the one asked for does, and many that have what the text says: neither image nor text is enough.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from fashionfae_lavis.mini.fashiongen.attributes import (
    GARMENTS,
    Product,
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
# Pools of a class, and requests of a pool.
POOLS = {"train": (4, 200), "val": (3, 67)}
TWO_CHANGES = 0.75  # share of the requests that change two attributes

Look = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """`target` is asked for, with `reference` in sight; both are of the same pool."""

    reference: Product
    target: Product

    def changes(self) -> list[str]:
        """The visible attributes in which they differ, one or two."""
        return [name for (name, old), (_, new) in zip(self.reference.visible, self.target.visible, strict=True)
                if old != new]  # fmt: skip


def image_id(product: Product) -> str:
    """A name of ten characters, as FashionIQ's images have."""
    return f"B{product.product_id:09d}"


def sample_split(split: str, pool_size: int, seed: int) -> dict[str, tuple[list[Product], list[Request]]]:
    """For each class of a split ("train" or "val") its garments, `pool_size` a pool, and the requests.

    Garments of validation are combinations that FashionGen-Mini holds out, those of training are not: neither data set
    trains on what the other one tests. No two garments of a split look the same, and no request comes twice.
    """
    pools, requests_each = POOLS[split]
    taken: set[tuple[str, Look]] = set()
    sampled, count = {}, 0
    for name, subcategories in CLASSES.items():
        garments, requests = [], []
        for number in range(pools):
            # FashionGen-Mini's streams have 0 and 1 in the middle, and their use after them.
            stream = (seed, 2 + list(POOLS).index(split))
            rng = np.random.default_rng((*stream, count, 3))
            subcategory = subcategories[number % len(subcategories)]
            looks = _sample_pool(subcategory, split == "val", pool_size, taken, rng)
            taken |= {(subcategory, look) for look in looks}
            pool = [complete(subcategory, look, (*stream, count + i), rng) for i, look in enumerate(looks)]
            count += len(pool)
            garments += pool
            requests += _sample_requests(pool, requests_each, rng)
        sampled[name] = garments, requests
    return sampled


def _sample_pool(
    subcategory: str, validation: bool, size: int, taken: set[tuple[str, Look]], rng: np.random.Generator
) -> list[Look]:
    """`size` looks that differ from each other in as few attributes and values as give so many."""
    centre = dict(sample_look(subcategory, rng))
    options = {name: [value] for name, value in centre.items()}
    free: list[Look] = []
    for name in rng.permutation(list(centre)):
        others = [value for value in GARMENTS[subcategory].options[name] if value != centre[name]]
        for value in rng.permutation(others):
            options[name].append(str(value))
            looks = (tuple(zip(options, values, strict=True)) for values in itertools.product(*options.values()))
            free = [
                look for look in looks if held_out(subcategory, look) == validation and (subcategory, look) not in taken
            ]
            if len(free) >= size:
                return [free[i] for i in rng.permutation(len(free))[:size]]
    return free


def _sample_requests(pool: list[Product], count: int, rng: np.random.Generator) -> list[Request]:
    values = np.array([[value for _, value in product.visible] for product in pool])
    changes = (values[:, None] != values).sum(-1)
    pairs = {number: rng.permutation(np.argwhere(changes == number)) for number in (1, 2)}
    two = round(TWO_CHANGES * count)
    chosen = rng.permutation(np.concatenate([pairs[2][:two], pairs[1][: count - two]]))
    return [Request(pool[reference], pool[target]) for reference, target in chosen]
