"""Views of a product's text."""

from collections import Counter

import numpy as np
import pytest

from fashionfae_lavis.text.product_text import fashion_text
from fashionfae_lavis.text.views import DROPPED, KINDS, ViewSampler, draw_view

FIELDS = {
    "title": "Turtle Check Men Navy Blue Shirt",
    "description": "Made of cotton.",
    "gender": "Men",
    "sub category": "Topwear",
    "article type": "Shirts",
    "colour": "Navy Blue",
    "season": "",
}
VALUES = {name: FIELDS[name] for name in ("gender", "sub category", "article type", "colour")}


def draw(kind, count, fields=FIELDS):
    rng = np.random.default_rng(0)
    return [draw_view(fields, kind, rng) for _ in range(count)]


def test_a_full_text_keeps_title_and_description_and_drops_attributes():
    views = draw("full", 1000)
    for view in views:
        assert view.text.startswith("the image description is turtle check men navy blue shirt made of cotton")
        assert sorted(view.text.split()) == sorted(fashion_text(view.fields, "description+attributes").split())
    for name in VALUES:
        assert sum(name in view.fields for view in views) / 1000 == pytest.approx(1 - DROPPED, abs=0.05)


def test_a_title_is_alone():
    (view,) = draw("title", 1)
    assert view == ({"title": FIELDS["title"]}, "the image description is turtle check men navy blue shirt")


def test_a_query_names_values_of_the_product_in_everyday_order():
    views = draw("query", 1000)
    order = ["men", "navy blue", "topwear", "shirts"]
    counts = Counter()
    for view in views:
        (words,) = view.fields.values()
        named = [value for value in order if value in words]
        assert " ".join(named) == words and not {"topwear", "shirts"} <= set(named), "more than one noun"
        assert view.text == "the image description is " + words
        counts[len(named)] += 1
    assert set(counts) == {1, 2, 3} and min(counts.values()) > 200


def test_a_prompt_asks_about_each_attribute_alone():
    views = draw("prompt", 1000)
    counts = Counter(name for view in views for name in view.fields)
    assert set(counts) == set(VALUES) and min(counts.values()) > 200
    for view in views:
        ((name, value),) = view.fields.items()
        assert VALUES[name] == value and view.text == f"the image {name} is {value.lower()}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_product_without_title_and_attributes_keeps_its_text(kind):
    bare = {"title": "", "description": "A wool coat", "colour": ""}
    (view,) = draw(kind, 1, bare)
    assert view.text == "the image description is a wool coat" and view.fields["description"] == "A wool coat"


def test_kinds_follow_their_shares_and_are_equal_on_all_ranks():
    sampler = ViewSampler({"title": 1, "query": 3, "prompt": 0}, seed=7)
    kinds = Counter(sampler.kind_at(iteration) for iteration in range(2000))
    assert set(kinds) == {"title", "query"} and kinds["query"] == pytest.approx(1500, abs=80)
    iteration = next(i for i in range(9) if sampler.kind_at(i) == "query")
    ranks = [sampler.draw([FIELDS] * 20, iteration, rank, 0) for rank in range(2)]
    assert ranks[0] != ranks[1], "ranks have different products and draw different views"
    assert ranks[0] == ViewSampler({"title": 1, "query": 3}, seed=7).draw([FIELDS] * 20, iteration, 0, 0)
