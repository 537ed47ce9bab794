"""The garments of FashionIQ-Mini, and the requests: pairs of a reference garment and a target garment.

A pool holds garments of one kind that differ in only a few attributes, in most combinations. Each request changes one
or two of these attributes. Many garments are therefore as similar to the reference as the target, and many match the
text, so neither image nor text alone is enough.
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

# FashionIQ's classes are dresses, shirts (including T-shirts) and women's tops. Coats, blazers, skirts and trousers
# belong to none of them.
CLASSES = {
    "dress": ("DRESSES",),
    "shirt": ("SHIRTS", "T-SHIRTS"),
    "toptee": ("TANK TOPS", "PULLOVERS", "CARDIGANS"),
}
# Numbers of pools per class, and of requests per pool.
POOLS = {"train": (4, 200), "val": (3, 67)}
TWO_CHANGES = 0.75  # the share of requests that change two attributes

Look = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request for `target`, given `reference`; both are from the same pool."""

    reference: Product
    target: Product

    def changes(self) -> list[str]:
        """Returns the one or two visible attributes in which the garments differ."""
        return [name for (name, old), (_, new) in zip(self.reference.visible, self.target.visible, strict=True)
                if old != new]  # fmt: skip


def image_id(product: Product) -> str:
    """Returns a name of ten characters, like FashionIQ's image ids."""
    return f"B{product.product_id:09d}"


def sample_split(split: str, pool_size: int, seed: int) -> dict[str, tuple[list[Product], list[Request]]]:
    """Samples the garments and requests of a split.

    Validation uses combinations that FashionGen-Mini holds out, and training uses the others, so neither dataset trains
    on combinations that the other tests. No two garments of a split look the same, and no request occurs twice.

    Args:
        split: "train" or "val".
        pool_size: number of garments per pool.
        seed: seed of garments and requests.

    Returns:
        Class -> its garments and its requests.
    """
    pools, requests_each = POOLS[split]
    taken: set[tuple[str, Look]] = set()
    sampled, count = {}, 0
    for name, subcategories in CLASSES.items():
        garments, requests = [], []
        for number in range(pools):
            # Unlike this stream, FashionGen-Mini's streams have 0 or 1 in second position, and end with their use.
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
    """Samples `size` looks that differ in as few attributes and values as possible."""
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
