"""Views of a product's text."""

from collections import Counter

import numpy as np
import pytest

from fashionfae_lavis.text.product_text import fashion_text
from fashionfae_lavis.text.views import DROPPED, SHARES, draw_view, everyday_order, query

FIELDS = {
    "title": "Turtle Check Men Navy Blue Shirt",
    "description": "Made of cotton.",
    "gender": "Men",
    "sub category": "Topwear",
    "article type": "Shirts",
    "colour": "Navy Blue",
    "season": "",
}


def kind(view):
    if set(view) == {"title"}:
        return "title"
    if set(view) == {"description"}:
        return "query"
    return "prompt" if len(view) == 1 else "copy"


def test_kinds_are_drawn_by_their_shares():
    rng = np.random.default_rng(0)
    views = [draw_view(FIELDS, rng) for _ in range(4000)]
    counts = Counter(map(kind, views))
    for name, share in SHARES.items():
        assert counts[name] == pytest.approx(4000 * share, abs=100)
    copies = [view for view in views if kind(view) == "copy"]
    assert all(view["title"] and view["description"] for view in copies)
    for name in ("gender", "sub category", "article type", "colour"):
        kept = sum(name in view for view in copies)
        assert kept / len(copies) == pytest.approx(1 - DROPPED, abs=0.04)


def test_views_state_nothing_but_the_product_s_own_values():
    rng = np.random.default_rng(1)
    for _ in range(500):
        view = draw_view(FIELDS, rng)
        if kind(view) == "query":
            words = view["description"]
            for value in filter(None, (FIELDS[name] for name in FIELDS if name not in ("title", "description"))):
                words = words.replace(value, "").strip()
            assert not words.strip()
            assert not ("Topwear" in view["description"] and "Shirts" in view["description"]), "two nouns"
        else:
            assert all(FIELDS[name] == text for name, text in view.items())
            assert kind(view) == "copy" or all(view.values()), "an empty value is no view"


def test_all_attributes_are_asked_about_alone():
    rng = np.random.default_rng(2)
    asked = {name for _ in range(500) if kind(view := draw_view(FIELDS, rng)) == "prompt" for name in view}
    assert asked == {"gender", "sub category", "article type", "colour"}


def test_a_product_without_attributes_or_title():
    rng = np.random.default_rng(3)
    bare = {"title": "", "description": "A wool coat"}
    assert all(draw_view(bare, rng) == bare for _ in range(20))
    titled = [draw_view({"title": "Coat", "description": "", "colour": ""}, rng) for _ in range(50)]
    assert {fashion_text(view, "description+attributes") for view in titled} == {"the image description is coat"}


def test_values_come_in_everyday_order():
    assert everyday_order(["article type", "colour", "gender"]) == ["gender", "colour", "article type"]
    assert query(FIELDS, ["article type", "colour"]) == "Navy Blue Shirts"
    assert everyday_order(["base color", "usage", "category"]) == ["usage", "base color", "category"]
