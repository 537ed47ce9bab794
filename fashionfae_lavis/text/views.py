"""Views of a product's text: what a shopper, an editor or a question would say of the same product.

Training texts are long, and queries are short. A view is drawn at each access, as a crop is drawn from a photograph.

>>> import numpy as np
>>> fields = {"title": "Wool Coat", "description": "", "colour": "Navy Blue", "category": "Coats"}
>>> draw_view(fields, np.random.default_rng(0))
{'description': 'Navy Blue Coats'}
"""

from collections.abc import Iterable, Mapping

import numpy as np

from fashionfae_lavis.text.product_text import FREE_TEXT, Random, attribute_words

SHARES = {"copy": 0.4, "title": 0.15, "query": 0.25, "prompt": 0.2}
DROPPED = 0.3  # share of attributes that a copy leaves out
NOUNS = ("category", "type", "class", "garment", "product")  # words in the names of attributes that say what it is
COLOURS = ("colour", "color")


def everyday_order(names: Iterable[str]) -> list[str]:
    """Sorts attributes as in everyday language: what a product is comes last, its colour before it.

    >>> everyday_order(["category", "colour", "material"])
    ['material', 'colour', 'category']
    """
    return sorted(names, key=lambda name: 2 if is_noun(name) else int(is_colour(name)))


def is_noun(name: str) -> bool:
    """Returns whether an attribute says what a product is, by its name."""
    return not set(name.split()).isdisjoint(NOUNS)


def is_colour(name: str) -> bool:
    """Returns whether an attribute is a colour, by its name."""
    return not set(name.split()).isdisjoint(COLOURS)


def draw_view(fields: Mapping[str, str], rng: Random) -> dict[str, str]:
    """Draws a view of a product's fields.

    A copy has title, description and most of the attributes. The other views are the title alone, a query of one to
    three attribute values in everyday order (in `description`), and one attribute alone. A product without a title has
    no view of the title, and one without attributes no query.

    Args:
        fields: the product's texts by field name.
        rng: generator of the view.

    Returns:
        Fields of the view, which `fashion_text` and `mask_text` read like a product's.
    """
    names = list(attribute_words(fields))
    possible = [kind for kind in SHARES if kind == "copy" or (fields.get("title") if kind == "title" else names)]
    shares = np.array([SHARES[kind] for kind in possible])
    kind = rng.choice(possible, p=shares / shares.sum())
    if kind == "title":
        return {"title": fields["title"]}
    if kind == "prompt":
        name = rng.choice(names)
        return {str(name): fields[name]}
    if kind == "query":
        return {"description": query(fields, _some(names, rng))}
    kept = {name for name in names if rng.random() >= DROPPED}
    return {name: text for name, text in fields.items() if name in FREE_TEXT or name in kept}


def query(fields: Mapping[str, str], names: Iterable[str]) -> str:
    """Writes the values of some attributes as a shopper would: `navy blue coats`."""
    return " ".join(fields[name] for name in everyday_order(names))


def _some(names: list[str], rng: Random) -> list[str]:
    """Draws one to three attributes, at most one of them a noun."""
    nouns = [name for name in names if is_noun(name)]
    others = [name for name in names if not is_noun(name)]
    drawn = [str(rng.choice(nouns))] if nouns and rng.random() < 0.8 else []
    wanted = int(rng.permutation(3)[0]) + (not drawn)
    return drawn + [others[i] for i in rng.permutation(len(others))[:wanted]] or names[:1]
