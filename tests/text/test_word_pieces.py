import pytest

from fashionfae_lavis.text.word_pieces import ordinary_pieces, text_pieces, tokenize_texts, word_pieces


@pytest.mark.parametrize("text", ["sleeveless dresses in red", "Élan  T-shirt's 100%", "", "zip\u4e2d\u6587zip"])
def test_pieces_are_those_of_the_tokenizer(tokenizer, text):
    assert text_pieces(tokenizer, text) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_ordinary_pieces_have_nothing_special(tokenizer):
    pieces = tokenizer.convert_ids_to_tokens(ordinary_pieces(tokenizer).tolist())
    assert len(pieces) == len(set(pieces)) == tokenizer.vocab_size - 6
    assert not [piece for piece in pieces if piece.startswith("[")]


def test_batch_is_padded_to_its_longest_text(tokenizer):
    texts = ["red dress", "the image description is red dress [SEP] the image gender is women"]
    ids, mask = tokenize_texts(texts, tokenizer, max_length=120)
    assert ids.shape == mask.shape == (2, 14)
    assert tokenizer.convert_ids_to_tokens(ids[0])[:5] == ["[CLS]", "red", "dress", "[SEP]", "[PAD]"]
    assert mask.sum(1).tolist() == [4, 14]
    assert tokenizer.decode(ids[1]) == f"[CLS] {texts[1]} [SEP]"


def test_one_segment_equals_the_tokenizer(tokenizer):
    ids, _ = tokenize_texts(["sleeveless dress in red wool"], tokenizer, max_length=6)
    assert ids[0].tolist() == tokenizer("sleeveless dress in red wool", max_length=6, truncation=True)["input_ids"]


def test_the_first_segment_is_cut_before_the_prompts(tokenizer):
    text = "red blue red blue [SEP] dark wool"
    read = [tokenizer.decode(tokenize_texts([text], tokenizer, length)[0][0]) for length in (9, 8, 6, 5, 4)]
    assert read == [
        "[CLS] red blue red blue [SEP] dark wool [SEP]",
        "[CLS] red blue red [SEP] dark wool [SEP]",
        "[CLS] red [SEP] dark wool [SEP]",
        "[CLS] [SEP] dark wool [SEP]",
        "[CLS] [SEP] dark [SEP]",
    ]


def test_remembered_pieces_belong_to_their_tokenizer(tokenizer, tmp_path):
    other = type(tokenizer)(str(_vocabulary(tmp_path / "vocab.txt")))
    assert word_pieces(tokenizer, "dress") != word_pieces(other, "dress")


def _vocabulary(path):
    path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ndress")
    return path
