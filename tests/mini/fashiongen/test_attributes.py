"""The sampling of products."""

from collections import Counter
from dataclasses import replace

import pytest

from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, SEASONS, sample_products


@pytest.fixture(scope="module")
def train():
    return sample_products("train", 3000)


@pytest.fixture(scope="module")
def validation():
    return sample_products("validation", 1020)


def combination(product):
    return product.subcategory, product.visible


def differences(one, other):
    return sum(a != b for a, b in zip(one.visible, other.visible, strict=True))


def test_a_product_depends_on_seed_split_and_place_only(train):
    assert sample_products("train", 50) == train[:50]
    assert sample_products("train", 50, seed=1) != train[:50]
    assert sample_products("validation", 50) != train[:50]


def test_ids_are_unique_over_both_splits(train, validation):
    ids = {product.product_id for product in train + validation}
    assert len(ids) == 4020


def test_validation_combinations_are_new(train, validation):
    assert len(set(map(combination, validation))) == 1020
    assert len(set(map(combination, train))) == 3000
    assert not set(map(combination, train)) & set(map(combination, validation))


def test_each_validation_subcategory_has_at_least_101_products(validation):
    assert set(Counter(product.subcategory for product in validation).values()) == {102}


def test_half_of_validation_has_a_sibling_that_differs_in_one_attribute(validation):
    with_sibling = 0
    for name in GARMENTS:
        products = [product for product in validation if product.subcategory == name]
        with_sibling += sum(any(differences(one, other) == 1 for other in products) for one in products)
    assert with_sibling / len(validation) > 0.6


def test_values_are_balanced_within_a_garment(train):
    for name, garment in GARMENTS.items():
        looks = [product.look() for product in train if product.subcategory == name]
        for attribute, options in garment.options.items():
            counts = Counter(look[attribute] for look in looks)
            assert set(counts) == set(options)
            expected = len(looks) / len(options)
            # within five standard deviations of a fair draw
            assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


@pytest.mark.parametrize(("one", "other"), [("colour", "pattern"), ("colour", "fabric"), ("pattern", "trim")])
def test_one_attribute_does_not_give_away_another(train, one, other):
    looks = [product.look() for product in train if product.subcategory == "T-SHIRTS"]
    pairs = Counter((look[one], look[other]) for look in looks)
    options = GARMENTS["T-SHIRTS"].options
    expected = len(looks) / len(options[one]) / len(options[other])
    squares = sum((pairs[a, b] - expected) ** 2 / expected for a in options[one] for b in options[other])
    freedom = len(options[one]) * len(options[other]) - 1
    assert squares < freedom + 5 * (2 * freedom) ** 0.5  # chi-squared, five standard deviations


def test_what_cannot_be_seen_is_independent_of_what_can(train):
    for colour in ("red", "black"):
        seasons = Counter(product.season for product in train if product.look()["colour"] == colour)
        assert set(seasons) == set(SEASONS)
        assert max(seasons.values()) < 2 * min(seasons.values())
    women = Counter(product.subcategory for product in train if product.gender == "Women")
    assert women["DRESSES"] > 250 and women["SKIRTS"] > 250
    assert 120 < women["T-SHIRTS"] < 180


def test_streams_of_a_product_are_its_own(train):
    first, again, other = train[0].generator(1), train[0].generator(1), replace(train[0], stream=(0, 0, 1))
    draw = first.random()
    assert draw == again.random()
    assert draw != train[0].generator(2).random()
    assert draw != other.generator(1).random()
