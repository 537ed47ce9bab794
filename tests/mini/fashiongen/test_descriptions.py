"""The shop copy says true things, in many ways."""

import itertools
from collections import Counter

import pytest

from fashionfae_lavis.mini.fashiongen import ATTRIBUTE_WORDS
from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, VISIBLE, sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import write_texts
from fashionfae_lavis.mini.fashiongen.words import (
    ADJECTIVES,
    CHOICES,
    FILLERS,
    GARMENT_NAMES,
    NOUNS,
    VALUE_WORDS,
)
from fashionfae_lavis.text.product_text import normalise

OWNER = {
    word: (attribute, value)
    for attribute, values in VALUE_WORDS.items()
    for value, words in values.items()
    for word in words.split()
}


@pytest.fixture(scope="module")
def products():
    return sample_products("train", 1500)


@pytest.fixture(scope="module")
def texts(products):
    return [write_texts(product) for product in products]


def mentions(text):
    return {OWNER[word] for word in normalise(text).split() if word in OWNER}


def test_words_belong_to_one_value_each():
    words = [word for values in VALUE_WORDS.values() for text in values.values() for word in text.split()]
    assert len(words) == len(set(words))
    assert set(itertools.chain(*(ATTRIBUTE_WORDS[name] for name in VISIBLE))) == set(words)
    assert all(normalise(word) == word for word in words)


def test_phrases_name_their_own_value_and_nothing_else():
    for attribute, values in itertools.chain(ADJECTIVES.items(), NOUNS.items()):
        for value, phrases in values.items():
            for phrase in phrases:
                assert mentions(phrase) == {(attribute, value)}, phrase


def test_fillers_and_garment_names_say_nothing_visible():
    for text in itertools.chain(*FILLERS.values(), *CHOICES.values(), *GARMENT_NAMES.values()):
        assert not mentions(text), text


def test_every_mention_is_true_of_the_product(products, texts):
    for product, text in zip(products, texts, strict=True):
        assert mentions(text["title"] + " " + text["description"]) <= set(product.visible), text


def test_descriptions_leave_things_out(products, texts):
    said, could = Counter(), Counter()
    for product, text in zip(products, texts, strict=True):
        title, description = ({attribute for attribute, _ in mentions(text[part])} for part in ("title", "description"))
        for attribute, value in product.visible:
            if VALUE_WORDS[attribute][value]:
                could[attribute, attribute in title] += 1
                said[attribute, attribute in title] += attribute in description
    for attribute in VISIBLE:
        assert 0.7 < said[attribute, False] / could[attribute, False] < 0.9, attribute
    repeated, titled = (sum(count[attribute, True] for attribute in VISIBLE) for count in (said, could))
    assert 0.2 < repeated / titled < 0.3


def test_a_title_names_two_or_three_attributes_or_none_and_then_no_garment(texts):
    kinds = set(ATTRIBUTE_WORDS["garment"])
    named = [text for text in texts if not mentions(text["title"])]
    assert 0.25 < len(named) / len(texts) < 0.35
    for text in named:
        assert not kinds - {"tailored"} & set(normalise(" ".join(text.values())).split()), text
    for text in texts:
        if text not in named:
            assert 2 <= len(mentions(text["title"])) <= 3
            assert kinds & set(normalise(text["title"]).split())


def test_lengths_and_variety(texts):
    lengths = [len(normalise(text["description"]).split()) for text in texts]
    assert min(lengths) >= 6 and max(lengths) <= 32
    assert max(len(text["description"].replace("<br>", " ").split()) for text in texts) <= 24
    assert len({text["description"] for text in texts}) == len(texts)
    words = Counter(word for text in texts for word in normalise(" ".join(text.values())).split())
    assert 500 < len(words) < 900
    for mark in ("<br>", " / ", "-"):
        assert any(mark in text["description"] for text in texts)


def test_every_attribute_word_is_used(texts):
    used = {word for text in texts for word in normalise(" ".join(text.values())).split()}
    assert set(OWNER) <= used


def test_texts_of_a_product_are_always_the_same(products, texts):
    assert [write_texts(product) for product in products[:20]] == texts[:20]


def test_every_value_that_is_drawn_has_an_entry():
    for garment in GARMENTS.values():
        for attribute, options in garment.options.items():
            assert set(options) <= set(VALUE_WORDS[attribute])
            for value in options:
                assert bool(VALUE_WORDS[attribute][value]) == (value in ADJECTIVES[attribute])
                assert (value in NOUNS[attribute]) == (value in ADJECTIVES[attribute])


def test_a_description_of_one_sentence_stays_whole():
    # Rarely, the lead sentence holds everything that the title leaves out and is long enough to need no filler.
    product = sample_products("train", 4987, seed=1)[4986]
    assert write_texts(product)["description"] == "Checked notched lapel blazer cut from brown cloth."
