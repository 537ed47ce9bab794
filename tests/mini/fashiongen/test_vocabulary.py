"""The packaged vocabulary of the mini model."""

import string

import pytest
from transformers import BertTokenizerFast

from fashionfae_lavis.mini.fashiongen import ATTRIBUTE_WORDS
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.mini.fashiongen.vocabulary import FOLDER, build_vocabulary
from fashionfae_lavis.text.product_text import fashion_text


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizerFast.from_pretrained(FOLDER)


def test_the_shipped_file_is_what_the_script_builds():
    assert (FOLDER / "vocab.txt").read_text().split("\n")[:-1] == build_vocabulary()


def test_special_entries(tokenizer):
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.convert_tokens_to_ids(names) == [0, 1, 2, 3, 4]
    assert 600 <= len(tokenizer) <= 1200


def test_almost_every_word_of_unseen_texts_is_one_piece(tokenizer):
    texts = [fashion_text(fields_of(product), "description+attributes").replace("[SEP]", "")
             for product in sample_products("validation", 300)]  # fmt: skip
    words = sum(len(text.split()) for text in texts)
    pieces = sum(len(tokenizer.tokenize(text)) for text in texts)
    assert pieces < 1.001 * words
    assert not any(tokenizer.unk_token_id in tokenizer(text).input_ids for text in texts)


def test_prompts_seasons_and_attribute_words_are_whole(tokenizer):
    prompts = "the image title description category sub gender season composition is"
    seasons = "spring summer fall winter 2016 2017 2018"
    for word in [*prompts.split(), *seasons.split(), *sum(ATTRIBUTE_WORDS.values(), ())]:
        assert tokenizer.tokenize(word) == [word]


def test_any_latin_text_can_be_encoded(tokenizer):
    text = string.ascii_letters + " " + string.digits + " Crêpe zyzzyva q"
    assert tokenizer.unk_token_id not in tokenizer(text).input_ids
