"""The questions of the attribute probe: values, prompts, and pairs of texts that differ in one attribute.

The attributes are the ones in the products' texts plus the split's `extra_attributes`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.metrics.attribute_probe import swap_partners
from fashionfae_lavis.text.product_text import FREE_TEXT, attribute_names, field_words, normalise, prompt_template

# A sub category belongs to one category, so each gives the other away.
TELLS = {"category": "sub category", "sub category": "category"}


def attribute_values(split: ProductSplit) -> dict[str, list[str]]:
    """Returns {attribute: its normalised value for each product of the split, "" where it has none}."""
    fields = [split.product_fields(product) for product in range(len(split.product_ids))]
    values = {name: [" ".join(field_words(field, name)) for field in fields] for name in attribute_names(fields[0])}
    extra = split.extra_attributes
    return values | {name: [normalise(value) for value in extra[name]] for name in extra}


def prompt(name: str, value: str) -> str:
    """Returns the prompt for an attribute's value.

    >>> prompt("sub category", "t shirts")
    'the image sub category is t shirts'
    """
    return " ".join([*prompt_template(name), value])


def telling_words(name: str, value: set[str], listed: Mapping[str, Sequence[str]]) -> set[str]:
    """Finds the words that reveal an attribute's value, by the split's `attribute_words` (`listed`).

    The first of these that exists is returned: the words listed for the attribute; the words listed for any attribute
    that shares a word with the value; the words of the value.
    """
    if name in listed:
        return set(listed[name])
    return set[str]().union(*(words for words in listed.values() if value & set(words))) or value


def hidden_words(split: ProductSplit, fields: Mapping[str, str], name: str, values: list[str]) -> set[str]:
    """Finds the words to hide in a product's text because they reveal these values of an attribute.

    They are the words of the values, in singular and plural, and `telling_words`. A text can still reveal the value in
    other words, or by the number and position of the hidden words. The prompt-only questions therefore show no text.
    """
    words = set(" ".join(values).split()) | set(field_words(fields, TELLS.get(name, "")))
    words |= telling_words(name, words, split.attribute_words)
    stems = {word[: -len(end)] for word in words for end in ("s", "es") if word.endswith(end)}
    return words | stems | {word + end for word in words | stems for end in ("s", "es")}


def pair_texts(
    split: ProductSplit, name: str, values: list[str], products: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Makes pairs of a right and a wrong text about a product that differ in one attribute.

    For an extra attribute, the split's `text_rewriter`, if any, writes the wrong text. Otherwise `swap_partners` pairs
    products with different values at random. The attribute's prompt then holds the product's own value in the right
    text, and its partner's value in the wrong text. Both texts omit all other words that reveal the value, because
    these would contradict the wrong one.

    Args:
        split: the split.
        name: the attribute.
        values: value of the attribute for each product of the split.
        products: (N,) indices of the products to ask about.
        rng: generator of the partners or the new values.

    Returns:
        Indices (Q,) into `products`, Q right texts and Q wrong texts.
    """
    questions = []
    if name in split.extra_attributes and split.text_rewriter is not None:
        for position, product in enumerate(products):
            fields = split.product_fields(product)
            changed = split.text_rewriter.changed_fields(product, name, fields, rng)
            if changed is not None:
                questions.append((position, split.text_processor(fields), split.text_processor(changed)))
        questions = [(position, right, wrong) for position, right, wrong in questions if right != wrong]
    else:
        having = [position for position, product in enumerate(products) if values[product]]
        partners = swap_partners([values[products[position]] for position in having], rng)
        for one, other in [*partners, *((other, one) for one, other in partners)]:
            position, both = having[one], [values[products[having[i]]] for i in (one, other)]
            right, wrong = _prompted(split, products[position], name, both)
            questions.append((position, right, wrong))
    questions.sort()
    positions = np.array([position for position, _, _ in questions], dtype=int)
    return positions, [right for _, right, _ in questions], [wrong for _, _, wrong in questions]


def _prompted(split: ProductSplit, product: int, name: str, values: list[str]) -> list[str]:
    """Returns the product's text for each value, with the value in a prompt, which is appended if texts have none."""
    fields = split.product_fields(product)
    hidden = hidden_words(split, fields, name, values)
    kept = {part: " ".join(w for w in field_words(fields, part) if w not in hidden) for part in FREE_TEXT}
    kept = {**fields, **kept, TELLS.get(name, name): ""}
    texts = [split.text_processor({**kept, name: value}) for value in values]
    return texts if texts[0] != texts[1] else [f"{texts[0]} {prompt(name, value)}" for value in values]
