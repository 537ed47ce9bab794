"""Titles and descriptions in the style of a shop, varied enough that a text does not identify its product.

Every statement is true, but each visible attribute is sometimes left out and rarely repeated. Some products have just a
name (`The Meridian`), so only the picture and the prompts reveal the kind of garment. As in real shops, many masked
words can be predicted only from the image.
"""

import numpy as np

from fashionfae_lavis.mini.fashiongen.attributes import Product
from fashionfae_lavis.mini.fashiongen.words import (
    ADJECTIVES,
    CHOICES,
    FILLERS,
    GARMENT_NAMES,
    NOUNS,
    PRODUCT_NAMES,
)

NAMED = 0.3  # share of products whose text does not reveal the kind of garment
# Shares of attributes that a description mentions: of attributes not in the title, and of attributes in the title.
MENTIONED, REPEATED = 0.8, 0.25
MIN_WORDS, MAX_WORDS = 8, 22
# The order of adjectives before the garment: "cropped red striped cotton crew-neck tee".
_ORDER = ("length", "colour", "pattern", "sleeves", "shape", "fabric", "trim", "closure", "neckline")
_IN_TITLE = {"colour": 4.0, "pattern": 2.5, "fabric": 2.0, "neckline": 1.5, "shape": 1.5, "length": 1.2}
_SMALL_WORDS = ("and", "in", "of", "the", "with")


def write_texts(product: Product) -> dict[str, str]:
    """Writes the "title" and "description" of a product; the same product always gets the same texts."""
    rng = product.generator(1)
    if rng.random() < NAMED:
        garments, in_title = ["piece"], list[str]()
        title = f"The {rng.choice(PRODUCT_NAMES)}"
    else:
        garments = GARMENT_NAMES[product.subcategory]
        title, in_title = _title(product, pick(garments, rng), rng)
    return {"title": title, "description": _description(product, in_title, pick(garments, rng), rng)}


def fields_of(product: Product) -> dict[str, str]:
    """Returns all text fields of a product, by their names in prompts."""
    return {
        **write_texts(product),
        "category": product.category,
        "sub category": product.subcategory,
        "gender": product.gender,
        "season": product.season,
        "composition": product.composition,
    }


def pick(options: list[str], rng: np.random.Generator) -> str:
    """Picks one of the options, most often the first."""
    return options[0] if rng.random() < 0.6 else options[int(rng.integers(len(options)))]


def _adjectives(look: dict[str, str], names: list[str], rng: np.random.Generator) -> str:
    ordered = sorted(names, key=_ORDER.index)
    if rng.random() < 0.25:
        ordered = [ordered[i] for i in rng.permutation(len(ordered))]
    return " ".join(pick(ADJECTIVES[name][look[name]], rng) for name in ordered)


def _mentionable(look: dict[str, str]) -> list[str]:
    return [name for name, value in look.items() if ADJECTIVES[name].get(value)]


def _title(product: Product, garment: str, rng: np.random.Generator) -> tuple[str, list[str]]:
    """Writes a title of the garment and two or three attributes, often the colour: `Red Striped Cardigan`.

    Returns:
        The title, and the attributes that it names.
    """
    look = product.look()
    names = _mentionable(look)
    weights = np.array([_IN_TITLE.get(name, 1.0) for name in names])
    count = min(len(names), int(rng.integers(2, 4)))
    chosen = [str(name) for name in rng.choice(names, count, replace=False, p=weights / weights.sum())]
    before = chosen
    if "colour" in chosen and rng.random() < 0.2:
        before = [name for name in chosen if name != "colour"]
        garment += f" in {pick(ADJECTIVES['colour'][look['colour']], rng)}"
    text = f"{_adjectives(look, before, rng)} {garment}"
    return " ".join(_capitalised(word) for word in text.split()), chosen


def _capitalised(word: str) -> str:
    return word if word in _SMALL_WORDS else "-".join(part.capitalize() for part in word.split("-"))


def _description(product: Product, in_title: list[str], garment: str, rng: np.random.Generator) -> str:
    """Writes a lead sentence, the remaining details, and fillers: 8-22 words, sometimes with a `<br>`."""
    look = product.look()
    names = [name for name in _mentionable(look) if rng.random() < (REPEATED if name in in_title else MENTIONED)]
    names = [names[i] for i in rng.permutation(len(names))]
    in_lead = int(rng.integers(1, 4))
    sentences = [_lead(look, names[:in_lead], garment, rng), *_details(look, names[in_lead:], rng)]
    wanted = int(rng.integers(MIN_WORDS, MAX_WORDS - 3))
    for topic in rng.permutation(list(FILLERS)):
        if _count(sentences) >= wanted:
            break
        filler = _filler(topic, product, rng)
        if _count([*sentences, filler]) <= MAX_WORDS:
            sentences.insert(int(rng.integers(1, len(sentences) + 1)), filler)
    if rng.random() < 0.25 and len(sentences) > 1:
        cut = int(rng.integers(1, len(sentences)))
        return " ".join(sentences[:cut]) + "<br>" + " ".join(sentences[cut:])
    return " ".join(sentences)


def _count(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _lead(look: dict[str, str], names: list[str], garment: str, rng: np.random.Generator) -> str:
    inline = [name for name in names if name != "colour"]
    before = f"{_adjectives(look, inline, rng)} {garment}".strip()
    if "colour" not in names:
        return _sentence(before)
    colour = pick(ADJECTIVES["colour"][look["colour"]], rng)
    form = rng.integers(4)
    if form == 0:
        return _sentence(f"{colour} {before}")
    if form == 1 and "fabric" in look and "fabric" not in names:
        return _sentence(f"{before} cut from {colour} cloth")
    return _sentence(f"{before} in {colour}")


def _details(look: dict[str, str], names: list[str], rng: np.random.Generator) -> list[str]:
    """Writes sentences of one to three details each."""
    details = [pick(NOUNS[name][look[name]], rng) for name in names]
    sentences = []
    while details:
        size = int(rng.integers(1, 4))
        group, details = details[:size], details[size:]
        joined = ", ".join(group[:-1])
        joiner = " and " if len(group) == 2 or rng.random() < 0.5 else ", "
        sentences.append(_sentence(f"{joined}{joiner}{group[-1]}" if joined else group[0]))
    return sentences


def _filler(topic: str, product: Product, rng: np.random.Generator) -> str:
    text = str(rng.choice(FILLERS[topic])).replace("{brand}", product.brand)
    return text.format(**{name: rng.choice(choices) for name, choices in CHOICES.items()})
