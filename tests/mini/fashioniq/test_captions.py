"""The captions say what changes, in words that the models can read."""

import numpy as np
import pytest
from transformers import BertTokenizerFast

from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS
from fashionfae_lavis.mini.fashiongen.vocabulary import FOLDER
from fashionfae_lavis.mini.fashiongen.words import VALUE_WORDS
from fashionfae_lavis.mini.fashioniq.captions import _ADJECTIVES, _DETAILS, write_captions
from fashionfae_lavis.mini.fashioniq.requests import CLASSES, POOLS, sample_split
from fashionfae_lavis.text.product_text import normalise

OWNER = {
    word: (attribute, value)
    for attribute, values in VALUE_WORDS.items()
    for value, words in values.items()
    for word in words.split()
}
# Values that the copy never names, and the word that a caption has for them.
UNNAMED = {("length", "regular"): "regular"}


@pytest.fixture(scope="module")
def written():
    """All requests of a small dataset, each with its two captions."""
    pairs = []
    for split in POOLS:
        for _, requests in sample_split(split, 60, seed=0).values():
            pairs += [(request, write_captions(request, request.target.generator(1))) for request in requests]
    return pairs


def mentions(text):
    words = normalise(text).split()
    return {OWNER[word] for word in words if word in OWNER} | {
        value for value, word in UNNAMED.items() if word in words
    }


def test_two_captions_that_differ(written):
    assert all(len(captions) == 2 and captions[0] != captions[1] for _, captions in written)


def test_between_them_they_name_every_change_and_nothing_else(written):
    for request, captions in written:
        old, new = request.reference.look(), request.target.look()
        changes = set(request.changes())
        said = set.union(*map(mentions, captions))
        assert {attribute for attribute, _ in said} == changes, captions
        assert said <= {(name, look[name]) for name in changes for look in (old, new)}, captions
        for name in changes:
            # What the target has is named, or that it lacks what the reference had.
            assert ((name, new[name]) in said) != (new[name] == "none"), captions


def test_some_captions_leave_a_change_out(written):
    two = [(request, captions) for request, captions in written if len(request.changes()) == 2]
    short = [captions for _, captions in two if min(len({a for a, _ in mentions(c)}) for c in captions) == 1]
    assert 0.3 < len(short) / len(two) < 0.7


def test_every_value_that_can_be_asked_for_has_words():
    for subcategory in (name for names in CLASSES.values() for name in names):
        for attribute, values in GARMENTS[subcategory].options.items():
            words = (_ADJECTIVES | _DETAILS)[attribute]
            assert {value for value in values if value not in words} <= {"none"}, (subcategory, attribute)


def test_the_mini_vocabulary_covers_them(written):
    """Captions have no unknown words, and all but a few common words are one piece."""
    tokenizer = BertTokenizerFast.from_pretrained(FOLDER)
    words = {word for _, captions in written for caption in captions for word in normalise(caption).split()}
    assert not any(tokenizer.unk_token_id in tokenizer(word).input_ids for word in words)
    assert {word for word in words if len(tokenizer.tokenize(word)) > 1} <= {"has", "instead"}
    assert set(OWNER) & words > {"red", "striped", "silk", "crew", "maxi", "zip", "belt"}


def test_the_same_generator_writes_the_same(written):
    for request, captions in written[:20]:
        assert write_captions(request, request.target.generator(1)) == captions
        assert any(write_captions(request, np.random.default_rng(seed)) != captions for seed in range(9))
