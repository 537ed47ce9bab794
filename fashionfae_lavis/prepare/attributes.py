"""Names of attributes in prompts, and columns that teach a model nothing as attributes."""

import re

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.product_text import FREE_TEXT, normalise

# Below FEWEST products, the values say too little about a column. In a real shop, 20 products have 20 different titles
# and prices, but 16 brands and 13 types of article; 200 products have fewer than 100 brands.
FEWEST, FEW = 20, 200
_HUMP = re.compile(r"(?<=[^\W\d_])(?=[^\W\d_])")  # between any two letters


def attribute_name(name: str) -> str:
    """Returns an attribute's name in prompts: words in lower case, also of `camelCase`.

    >>> [attribute_name(name) for name in ("Primary_Colour", "articleType", "Product-Type", "UPPER", "EUSize")]
    ['primary colour', 'article type', 'product type', 'upper', 'eu size']

    Raises:
        UserError: the name has no letter or digit, or is that of a free text.
    """
    words = normalise(_HUMP.sub(_space_at_hump, name).replace("_", " "))
    if not words or words in FREE_TEXT:
        raise UserError(f"--attributes {name}: give the attribute a name in words other than title and description.")
    return words


def _space_at_hump(between: re.Match[str]) -> str:
    """Returns a space where a word of camelCase begins: before `T` in `articleType`, before `S` in `EUSize`."""
    name, start = between.string, between.start()
    before, first, second = name[start - 1], name[start], name[start + 1 : start + 2]
    return " " if first.isupper() and (before.islower() or second.islower()) else ""


def why_useless(values: int, products: int) -> str:
    """Returns why an attribute teaches a model nothing, "" if it may teach something.

    Args:
        values: number of distinct values.
        products: number of products that have one.
    """
    if not values:
        return "no product has a value"
    if products < FEWEST:
        return ""
    if values == 1:
        return f"all {products} products that have one have the same value"
    if values > products * (0.9 if products < FEW else 0.5):
        return f"nearly every product has its own: {values} values of {products} products"
    return ""
