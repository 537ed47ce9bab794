import numpy as np
import pytest
from toy_products import ToyProducts

from fashionfae_lavis.evaluation.attribute_questions import attribute_values, hidden_words, pair_texts
from fashionfae_lavis.mini.fashiongen import ATTRIBUTE_WORDS
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.mini.fashiongen.visible import VisibleAttributes
from fashionfae_lavis.processors import FashionTextProcessor


@pytest.fixture(scope="module")
def toys():
    return ToyProducts()


def rng(seed=0):
    return np.random.default_rng(seed)


def asked(dataset, name, seed=0):
    products = np.arange(len(dataset.product_ids))
    return pair_texts(dataset, name, attribute_values(dataset)[name], products, rng(seed))


def test_values_are_normalised_and_empty_where_there_are_none(toys):
    values = attribute_values(toys)
    assert set(values) == {"category", "sub category", "gender", "season", "composition", "colour"}
    assert set(values["season"]) == {"spring summer 2016", "fall winter 2016", "spring summer 2017"}
    assert set(values["composition"]) == {"", "wool", "100 linen", "silk blend"}
    assert [value == "" for value in values["composition"][:8]] == [True, False, False, False] * 2
    assert values["colour"] == toys.extra_attributes["colour"]


@pytest.mark.parametrize(
    ("name", "values", "hidden", "kept"),
    [
        ("category", ["tops"], {"tops", "top", "shirts", "shirt"}, {"linen", "women"}),  # the sub category tells it
        ("gender", ["women"], {"women", "womens"}, {"shirt", "tops"}),
        ("composition", ["100 linen"], {"linen", "linens", "100"}, {"cotton"}),
        ("sub category", ["dresses"], {"dress", "dresses"}, {"linen"}),
    ],
)
def test_what_is_hidden_of_a_text(toys, name, values, hidden, kept):
    fields = {"category": "TOPS", "sub category": "SHIRTS", "gender": "Women", "composition": "100% linen"}
    words = hidden_words(toys, fields, name, values)
    assert hidden <= words and not kept & words


def test_all_the_words_that_the_data_set_lists_are_hidden(toys):
    dataset = ToyProducts(4)
    dataset.attribute_words = ATTRIBUTE_WORDS
    assert set(ATTRIBUTE_WORDS["colour"]) <= hidden_words(dataset, {}, "colour", ["red"])
    assert set(ATTRIBUTE_WORDS["fabric"]) | {"100"} <= hidden_words(dataset, {}, "composition", ["100 linen"])


def test_pairs_differ_in_the_value_alone_and_each_value_is_as_often_right_as_wrong(toys):
    positions, true, false = asked(toys, "season")
    assert len(positions) == len(set(positions)) > 100
    values = attribute_values(toys)["season"]
    swapped = []
    for position, own, other in zip(positions, true, false, strict=True):
        start, _, end = own.partition(values[position])
        assert other.startswith(start) and other.endswith(end)
        swapped.append(other[len(start) : len(other) - len(end)])
        assert swapped[-1] != values[position] and swapped[-1] in values
    assert sorted(swapped) == sorted(values[position] for position in positions)


def test_the_text_does_not_contradict_the_wrong_value(toys):
    _, true, false = asked(toys, "category")
    for text in true + false:
        assert "the image category is" in text and "sub category" not in text and "shirt" not in text.split("[SEP]")[0]
    _, true, false = asked(toys, "composition")
    for texts in zip(true, false, strict=True):
        linen = any("composition is 100 linen" in text for text in texts)
        assert all(("cut in linen" in text) != linen for text in texts)


def test_products_without_the_attribute_are_not_asked(toys):
    for name in ("composition", "colour"):
        positions, _, _ = asked(toys, name)
        values = attribute_values(toys)[name]
        assert len(positions) > 30 and all(values[position] for position in positions)


def test_where_the_text_has_no_prompt_it_is_added():
    toys = ToyProducts(mode="description")
    for name in ("season", "colour"):
        positions, true, false = asked(toys, name)
        values = attribute_values(toys)[name]
        for position, own, other in zip(positions, true, false, strict=True):
            assert own.endswith(f" the image {name} is {values[position]}") and "[SEP]" not in own
            assert other.split(" the image")[:-1] == own.split(" the image")[:-1]


def test_pairs_are_seeded(toys):
    assert asked(toys, "season")[2] == asked(toys, "season")[2] != asked(toys, "season", seed=1)[2]


def test_a_data_set_that_can_rewrite_its_texts_does():
    products = sample_products("validation", 30)
    dataset = ToyProducts(30)
    dataset.fields = [fields_of(product) for product in products]
    visible = VisibleAttributes("validation", [product.product_id for product in products])
    dataset.extra_attributes = dataset.text_rewriter = visible
    positions, true, false = asked(dataset, "colour")
    assert 20 < len(positions) <= 30
    processor = FashionTextProcessor()
    assert true == [processor(dataset.fields[position]) for position in positions]
    words = [set(one.split()) ^ set(other.split()) for one, other in zip(true, false, strict=True)]
    assert all(difference and difference <= set(ATTRIBUTE_WORDS["colour"]) for difference in words)
