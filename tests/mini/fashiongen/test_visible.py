"""Rewritten texts differ in one visible attribute, and in nothing else."""

import numpy as np
import pytest

from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, VISIBLE, sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.mini.fashiongen.visible import VisibleAttributes
from fashionfae_lavis.mini.fashiongen.words import VALUE_WORDS
from fashionfae_lavis.text.product_text import fashion_text, normalise

COUNT = 300
OWNER = {
    word: (attribute, value)
    for attribute, values in VALUE_WORDS.items()
    for value, words in values.items()
    for word in words.split()
}


@pytest.fixture(scope="module")
def products():
    return sample_products("validation", COUNT)


@pytest.fixture(scope="module")
def visible(products):
    return VisibleAttributes("validation", [product.product_id for product in products])


def text_of(fields):
    return fashion_text(fields, "description+attributes")


def mentions(text):
    return [OWNER[word] for word in text.split() if word in OWNER]


def test_values_are_the_products_own_in_words(products, visible):
    assert list(visible) == list(VISIBLE) and len(visible) == 9
    for name in visible:
        for product, words in zip(products, visible[name], strict=True):
            value = product.look().get(name)
            said = VALUE_WORDS[name][value] if value else ""
            assert bool(words) == bool(said)
            assert {OWNER[word] for word in words.split()} == ({(name, value)} if said else set())
            assert normalise(words) == words
    assert {"three quarter", "short"} <= set(visible["sleeves"])
    assert "price" not in visible


def test_only_the_words_about_this_attribute_change(products, visible):
    rng = np.random.default_rng(0)
    for name in VISIBLE:
        asked = 0
        for index, product in enumerate(products):
            fields = fields_of(product)
            changed = visible.changed_fields(index, name, fields, rng)
            if changed is None:
                continue
            asked += 1
            true, false = text_of(fields), text_of(changed)
            old = product.look()[name]
            others = [mention for mention in mentions(true) if mention[0] != name]
            assert [mention for mention in mentions(false) if mention[0] != name] == others, (true, false)
            (new,) = {value for attribute, value in mentions(false) if attribute == name}
            assert new != old and new in GARMENTS[product.subcategory].options[name]
            assert {value for attribute, value in mentions(true) if attribute == name} == {old}
            assert fields["season"] == changed["season"] and fields["category"] == changed["category"]
        assert asked > 0.15 * COUNT or name == "shape", name


def test_colours_change_word_by_word(products, visible):
    """Colours have equally many phrases of equal length: the sentences stay the same to the letter."""
    rng = np.random.default_rng(0)
    for index, product in enumerate(products[:100]):
        fields = fields_of(product)
        changed = visible.changed_fields(index, "colour", fields, rng)
        if changed is not None:
            pairs = list(zip(text_of(fields).split(), text_of(changed).split(), strict=True))
            differing = [(one, other) for one, other in pairs if one != other]
            assert differing
            assert all(OWNER[one][0] == OWNER[other][0] == "colour" for one, other in differing)


def test_fabric_and_composition_agree(products, visible):
    fields = fields_of(products[0])
    changed = visible.changed_fields(0, "fabric", fields, np.random.default_rng(0))
    (new,) = {value for attribute, value in mentions(text_of(changed)) if attribute == "fabric"}
    assert new in changed["composition"] and products[0].look()["fabric"] not in text_of(changed)


def test_nothing_to_ask(products, visible):
    rng = np.random.default_rng(0)
    skirt = next(i for i, product in enumerate(products) if product.subcategory == "SKIRTS")
    assert visible.changed_fields(skirt, "sleeves", fields_of(products[skirt]), rng) is None  # a skirt has none
    silent = {**fields_of(products[0]), "title": "The Meridian", "description": "Made in Italy."}
    assert visible.changed_fields(0, "colour", silent, rng) is None
    shirt = next(i for i, p in enumerate(products) if p.subcategory == "T-SHIRTS" and p.look()["length"] == "cropped")
    fields = {**fields_of(products[shirt]), "description": "Cropped hem."}
    assert visible.changed_fields(shirt, "length", fields, rng) is None  # the other length is never mentioned


def test_products_of_other_files_are_noticed():
    with pytest.raises(ValueError, match="validation split"):
        VisibleAttributes("validation", [1, 2, 3])["colour"]
