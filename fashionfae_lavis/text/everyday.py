"""Short queries in the words and order of everyday language: `men navy blue cotton shirts`.

An attribute like a noun comes last, before it the material, and before that the colour. All others come first.
"""

from collections.abc import Iterable, Sequence

COLOUR = frozenset({"colour", "color"})
MATERIAL = frozenset({"material", "fabric", "composition"})
NOUN = frozenset({"category", "subcategory", "type", "article", "garment", "class"})
# Words of the names of attributes that photographs do not show.
UNSEEN = frozenset({"season", "year", "month", "date", "price", "size", "stock", "origin", "country"})
LAST_WORDS = (COLOUR, MATERIAL, NOUN)  # of the names of the attributes that come last, in this order


def is_noun(name: str) -> bool:
    """Returns whether an attribute says what a product is, by its name."""
    return name.split()[-1] in NOUN


def is_colour(name: str) -> bool:
    """Returns whether an attribute is a colour, by its name."""
    return not COLOUR.isdisjoint(name.split())


def is_unseen(name: str) -> bool:
    """Returns whether photographs do not show an attribute, such as `release year`, by a word of its name."""
    return not UNSEEN.isdisjoint(name.split())


def everyday_order(names: Iterable[str]) -> list[str]:
    """Sorts attributes as their values stand in a query; those of the same kind keep their order.

    >>> everyday_order(["article type", "colour", "gender"])
    ['gender', 'colour', 'article type']
    """
    return sorted(names, key=_position)


def query_text(values: Sequence[str]) -> str:
    """Joins values without repeating the words of the last one.

    >>> query_text(["navy blue", "tshirts"]), query_text(["shoes", "casual shoes"])
    ('navy blue tshirts', 'casual shoes')
    """
    *before, last = values
    return " ".join([*(word for value in before for word in value.split() if word not in last.split()), last])


def _position(name: str) -> int:
    last = name.split()[-1]
    return next((place for place, words in enumerate(LAST_WORDS, start=1) if last in words), 0)
