"""The visible attributes of FashionGen-Mini's products, which are not in the files but known to the generator."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property

import numpy as np

from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, VISIBLE, Product, sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import pick
from fashionfae_lavis.mini.fashiongen.words import ADJECTIVES, NOUNS, VALUE_WORDS
from fashionfae_lavis.text.product_text import normalise

# Values with two-word names. Any other value is named by the first of its VALUE_WORDS.
_NAMES = {"quarter": "three quarter", "double": "double breasted"}


class VisibleAttributes(Mapping[str, list[str]]):
    """Mapping from attribute to its value in words for each product of a split; also a `TextRewriter`.

    A value is "" where a product has none, or where it is never mentioned. The products are sampled on first use.

    Args:
        split: "train" or "validation".
        product_ids: the ids in the split's file, in the file's order.

    Raises:
        ValueError: on first use, if the generator does not produce these ids.
    """

    def __init__(self, split: str, product_ids: Sequence[int] | np.ndarray):
        self.split, self.product_ids = split, product_ids

    @cached_property
    def products(self) -> list[Product]:
        """The products of the split."""
        products = sample_products(self.split, len(self.product_ids))
        if [product.product_id for product in products] != list(self.product_ids):
            raise ValueError(f"these product ids do not belong to FashionGen-Mini's {self.split} split")
        return products

    def __getitem__(self, name: str) -> list[str]:
        if name not in VISIBLE:
            raise KeyError(name)
        return [_words(name, product.look().get(name, "")) for product in self.products]

    def __iter__(self) -> Iterator[str]:
        return iter(VISIBLE)

    def __len__(self) -> int:
        return len(VISIBLE)

    def changed_fields(
        self, product: int, name: str, fields: Mapping[str, str], rng: np.random.Generator
    ) -> dict[str, str] | None:
        """Rewrites a product's texts for another random value of one attribute.

        The new value is one that the garment can have. Every phrase about the attribute is replaced by the same kind of
        phrase about the new value, and nothing else changes, so both texts are equally likely without the image.
        (Writing new texts from the same random stream would not work, because phrases of other lengths change the
        sentences after them.)

        Args:
            product: index of the product.
            name: the attribute.
            fields: the product's texts.
            rng: generator of the value and the phrases.

        Returns:
            The changed texts, or None if they do not mention the attribute.
        """
        item = self.products[product]
        old = item.look().get(name, "")
        options = GARMENTS[item.subcategory].options.get(name, ())
        others = [value for value in options if value != old and _words(name, value)]
        if not _words(name, old) or not others:
            return None
        new = str(rng.choice(others))
        parts = ("title", "description", "composition")  # the composition names the fabric, and nothing else
        changed = {part: _rewrite(normalise(fields[part]), name, old, new, rng) for part in parts}
        if all(changed[part] == normalise(fields[part]) for part in parts):
            return None
        return {**fields, **changed}


def _words(name: str, value: str) -> str:
    """Returns the words that name a value, "" if it has none."""
    words = VALUE_WORDS[name].get(value, "").split()
    return _NAMES.get(value, words[0]) if words else ""


@cache
def _phrases(name: str, value: str) -> tuple[list[str], list[str], list[str]]:
    """Returns all phrases about a value, normalised: before a garment, after it, and in the composition."""
    return (
        [normalise(phrase) for phrase in ADJECTIVES[name][value]],
        [normalise(phrase) for phrase in NOUNS[name][value]],
        [value] if name == "fabric" else [],
    )


def _rewrite(text: str, name: str, old: str, new: str, rng: np.random.Generator) -> str:
    """Replaces each phrase about the old value by the same phrase about the new value, or by any if there is none."""
    replacements: dict[str, list[str]] = {}
    for before, after in zip(_phrases(name, old), _phrases(name, new), strict=True):
        for i, phrase in enumerate(before):
            replacements.setdefault(phrase, [after[i]] if len(before) == len(after) else after)
    longest_first = sorted(replacements, key=len, reverse=True)
    pattern = r"\b(" + "|".join(map(re.escape, longest_first)) + r")\b"
    return re.sub(pattern, lambda match: pick(replacements[match[0]], rng), text)
