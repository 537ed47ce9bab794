import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.search_queries import attribute_pairs, benchmark_attributes, queries_of, query_text


def test_a_pair_of_values_needs_enough_products_that_have_both():
    colour = ["navy blue", "navy blue", "navy blue", "red", "red", "", "red"]
    kind = ["tshirts", "tshirts", "tshirts", "shoes", "shoes", "shoes", ""]
    queries = queries_of([colour, kind], least=3)
    assert queries.texts == ["navy blue tshirts"] and queries.right.tolist() == [3]
    assert queries.answers.tolist() == [0, 0, 0, -1, -1, -1, -1]
    assert queries_of([colour, kind], least=2).texts == ["navy blue tshirts", "red shoes"]
    assert queries_of([["", ""]]).texts == []


def test_values_of_different_attributes_stay_apart_even_if_their_words_are_equal():
    queries = queries_of([["light", "light blue"], ["blue shirts", "shirts"]])
    assert queries.texts == ["light blue shirts"] * 2 and queries.answers.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["navy blue", "tshirts"], "navy blue tshirts"),
        (["flip flops", "flip flops"], "flip flops"),
        (["shoes", "casual shoes"], "casual shoes"),
        (["a text of its own own"], "a text of its own own"),
    ],
)
def test_words_are_not_repeated(values, text):
    assert query_text(values) == text


def test_nouns_come_last():
    known = ["article type", "sub category", "base colour", "season", "fabric", "gender"]
    order = ["season", "gender", "base colour", "fabric", "article type", "sub category"]
    pairs = attribute_pairs(known)
    assert pairs == [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    assert attribute_pairs(known, ["article type", "base colour"]) == [("base colour", "article type")]


def test_attributes_that_cannot_be_paired_are_named():
    with pytest.raises(UserError, match="run.search_attributes: the dataset has no 'color'; did you mean colour"):
        attribute_pairs(["colour", "category"], ["color", "category"])
    with pytest.raises(UserError, match="fewer than two attributes"):
        attribute_pairs(["colour", "category"], ["colour"])


def test_roles_of_the_benchmark():
    known = ["gender", "category", "sub category", "article type", "colour"]
    roles = {"category": "category", "sub_category": "sub category", "fine_category": "article type"}
    assert benchmark_attributes(known, {}) == {**roles, "colour": "colour"}
    assert benchmark_attributes(known, {"category": "gender", "colour": None})["category"] == "gender"
    assert benchmark_attributes(["fit"], {}) == {}
    with pytest.raises(UserError, match="run.search_roles.colour: the dataset has no 'shade'"):
        benchmark_attributes(known, {"colour": "shade"})
