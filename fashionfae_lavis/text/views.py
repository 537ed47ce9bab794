"""Views of a product's text: what a catalogue, a shopper or a question says of the same product.

Catalogue texts are long, and queries are short. Pre-training draws a kind of view for each batch:

    full      title, description and most of the attributes
    title     the title alone
    query     one to three attribute values in everyday order: `navy blue coats`
    prompt    one attribute alone: `the image colour is navy blue`
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fashionfae_lavis.text.everyday import everyday_order, is_noun, query_text
from fashionfae_lavis.text.product_text import FREE_TEXT, TEXT_MODES, attribute_words, fashion_text, prompt_template

KINDS = ("full", "title", "query", "prompt")
DROPPED = 0.3  # share of attributes that a full text leaves out


class View(NamedTuple):
    """A view of a product's text.

    Attributes:
        fields: what `mask_text` reads for MLM and AETP.
        text: the text that the other objectives read.
    """

    fields: dict[str, str]
    text: str


class ViewSampler:
    """Draws the kind of view of each iteration, the same on all ranks, and the views of its products.

    Args:
        shares: kind -> relative share of the iterations.
        seed: seed of all draws.
    """

    def __init__(self, shares: Mapping[str, float], seed: int):
        self.kinds = [kind for kind in KINDS if shares.get(kind)]
        weights = np.array([shares[kind] for kind in self.kinds], dtype=float)
        self.probabilities = weights / weights.sum()
        self.seed = seed

    def kind_at(self, iteration: int) -> str:
        """Returns the kind of view of an iteration."""
        return str(np.random.default_rng((self.seed, iteration, 1)).choice(self.kinds, p=self.probabilities))

    def draw(self, products: Sequence[Mapping[str, str]], iteration: int, *place: int) -> list[View]:
        """Draws the views of a batch; `place` is the rank and the number of the batch in its iteration."""
        kind, rng = self.kind_at(iteration), np.random.default_rng((self.seed, iteration, 2, *place))
        return [draw_view(fields, kind, rng) for fields in products]


def draw_view(fields: Mapping[str, str], kind: str, rng: np.random.Generator) -> View:
    """Draws a view of a product. One without a title or attributes keeps its full text where a view needs them.

    Args:
        fields: the product's texts by field name.
        kind: one of `KINDS`.
        rng: generator of the view.

    >>> fields = {"title": "Wool Coat", "colour": "Navy Blue", "category": "Coats"}
    >>> draw_view(fields, "prompt", np.random.default_rng(0)).text
    'the image category is coats'
    """
    attributes = attribute_words(fields)
    names = list(attributes)
    if kind == "title" and fields.get("title"):
        shown = {"title": fields["title"]}
        return View(shown, fashion_text(shown, TEXT_MODES[0]))
    if kind == "query" and names:
        asked = everyday_order(_some(names, rng))
        shown = {"description": query_text([" ".join(attributes[name]) for name in asked])}
        return View(shown, fashion_text(shown, TEXT_MODES[0]))
    if kind == "prompt" and names:
        name = names[rng.integers(len(names))]
        return View({name: fields[name]}, " ".join([*prompt_template(name), *attributes[name]]))
    kept = {name for name in names if rng.random() >= DROPPED}
    shown = {name: text for name, text in fields.items() if name in FREE_TEXT or name in kept}
    return View(shown, fashion_text(shown, TEXT_MODES[1], rng))


def _some(names: list[str], rng: np.random.Generator) -> list[str]:
    """Draws one to three attributes, at most one of them a noun."""
    nouns = [name for name in names if is_noun(name)]
    others = [name for name in names if not is_noun(name)]
    drawn = [nouns[rng.integers(len(nouns))]] if nouns and rng.random() < 0.8 else []
    wanted = int(rng.integers(3)) + (not drawn)
    return drawn + [others[i] for i in rng.permutation(len(others))[:wanted]] or names[:1]
