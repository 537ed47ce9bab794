"""The vocabulary of a catalogue."""

import json
from collections import Counter

import pytest
from transformers import BertTokenizerFast

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.vocabulary import load_tokenizer
from fashionfae_lavis.prepare.vocabulary import (
    SPECIAL,
    catalogue_texts,
    measure_texts,
    train_vocabulary,
    word_counts,
    write_vocabulary,
)

COLOURS = ["turquoise", "mustard", "crème", "navy blue"]
GARMENTS = ["kurtas", "sherwani", "tunics"]


@pytest.fixture
def index(tmp_path):
    """A catalogue of 24 training products, and one for validation with words of its own."""
    products = [
        {"split": "train", "title": f"{colour} {garment}", "description": "", "fields": {"colour": colour}}
        for colour in COLOURS
        for garment in GARMENTS
        for _ in range(2)
    ]
    products.append({"split": "val", "title": "unseen unseen", "description": "", "fields": {"colour": "zebra zebra"}})
    path = tmp_path / "catalogue.jsonl"
    head = {"products": {"train": 24, "val": 1}}
    path.write_text("".join(json.dumps(line) + "\n" for line in [head, *products]), encoding="utf-8")
    return path


def test_words_of_training_products_are_pieces(index, tmp_path):
    write_vocabulary(index, tmp_path / "words")
    tokenizer = load_tokenizer(str(tmp_path / "words"))
    for word in ["turquoise", "mustard", "creme", "navy", "blue", *GARMENTS, "the", "image", "colour"]:
        assert tokenizer.tokenize(word) == [word]
    assert len(tokenizer.tokenize("zebra")) > 1 and tokenizer.unk_token not in tokenizer.tokenize("zebra xq7")
    assert tokenizer.tokenize("日") == ["[UNK]"]
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_any_bert_tokenizer_reads_the_file(index, tmp_path):
    ours = write_vocabulary(index, tmp_path / "words")
    text = "the image colour is Crème-de-menthe 7.5 sherwanis"
    for theirs in BertTokenizerFast(str(tmp_path / "words" / "vocab.txt")), load_tokenizer(str(tmp_path / "words")):
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text).ids


def test_the_same_texts_give_the_same_vocabulary():
    words = [f"{start}{end}" for start in ("ab", "ba", "abab", "cab") for end in ("ba", "ca", "bca", "acb")]
    counts = Counter({word: 3 for word in words})
    first = train_vocabulary(counts)
    assert all(train_vocabulary(Counter(dict(reversed(counts.items())))) == first for _ in range(5))
    assert len(first) == len(set(first)) and first[:5] == list(SPECIAL)


def test_the_size_follows_from_the_texts_up_to_a_limit():
    alone = train_vocabulary(Counter({"sherwani": 1}))
    assert "sherwani" not in alone and {"s", "##s"} <= set(alone)
    assert "sherwani" in train_vocabulary(Counter({"sherwani": 2}))
    counts = Counter({f"word{i}": 2 for i in range(300)})
    assert len(train_vocabulary(counts, largest=200)) == 200 < len(train_vocabulary(counts))


def test_words_are_counted_as_the_tokenizer_splits_them():
    assert word_counts(["7.5 cm crème", "crème"]) == {"7": 1, ".": 1, "5": 1, "cm": 1, "creme": 2}


def test_lengths_are_those_of_the_texts(index, tmp_path):
    tokenizer = write_vocabulary(index, tmp_path / "words")
    lengths = measure_texts(index, tokenizer, max_length=13)
    # [CLS] the image description is <title> [SEP] the image colour is <colour> [SEP]
    whole = [
        4 + len(f"{colour} {garment}".split()) + 4 + len(colour.split()) + 3
        for colour in COLOURS
        for garment in GARMENTS
    ]
    assert lengths.vocabulary == tokenizer.get_vocab_size() and lengths.per_word == 1
    assert (lengths.mean, lengths.longest) == (sum(whole) / len(whole), max(whole)) == (14.5, 16)
    assert lengths.cut == 1 and measure_texts(index, tokenizer, max_length=14).cut == 0.25


def test_a_catalogue_without_training_products_is_read_whole(index):
    lines = index.read_text(encoding="utf-8").splitlines()
    head = {"products": {"val": 1}}
    index.write_text(json.dumps(head) + "\n" + lines[-1] + "\n", encoding="utf-8")
    assert [text for text, _ in catalogue_texts(index)] == ["unseen unseen"]


def test_a_known_vocabulary_is_copied(index, tmp_path):
    mini = write_vocabulary(index, tmp_path / "words", "mini")
    assert mini.get_vocab() == load_tokenizer("mini").get_vocab() == load_tokenizer(str(tmp_path / "words")).get_vocab()
    assert write_vocabulary(index, tmp_path / "again", str(tmp_path / "words")).get_vocab() == mini.get_vocab()
    with pytest.raises(UserError, match="vocabulary of `model.vocabulary`"):
        write_vocabulary(index, tmp_path / "words", str(tmp_path / "absent"))
