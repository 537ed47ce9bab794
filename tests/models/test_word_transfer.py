"""Loading of weights that were trained with another vocabulary."""

import logging

import pytest
import torch
from authors import tiny_of
from tiny import tiny_model, tiny_samples
from vocabularies import WORDS, save, turned, write_vocabulary

from fashionfae_lavis.models import FashionFAE, FashionRetrieval
from fashionfae_lavis.models.vocabulary import load_tokenizer
from fashionfae_lavis.models.word_transfer import WordTransfer

TABLE = "fusion_encoder.embeddings.word_embeddings.weight"
NEW = ["turtlecheck", "##check", "zebrafish", "日"]  # no word of FashionGen-Mini


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny_model()
    with torch.no_grad():
        model.mlm_head.bias.copy_(torch.arange(len(WORDS)))
    save(model, tmp_path / "old.safetensors")
    return model, str(tmp_path / "old.safetensors")


def test_losses_stay_when_only_the_order_of_words_changes(tmp_path, checkpoint):
    model, path = checkpoint
    words = str(write_vocabulary(tmp_path / "turned", turned()))
    again = tiny_model(load_pretrained=True, pretrained=path, vocabulary=words)
    assert again.tokenizer.get_vocab() != model.tokenizer.get_vocab()
    samples = {**tiny_samples(), "objectives": ["itc", "apir"]}
    ours, theirs = model.eval()(samples), again.eval()(samples)
    for name in ("loss_itc", "loss_apir"):
        torch.testing.assert_close(ours[name], theirs[name])


def test_known_words_keep_their_rows_and_new_ones_start_from_their_pieces(tmp_path, checkpoint, caplog):
    model, path = checkpoint
    kept = WORDS[5:200]
    folder = str(write_vocabulary(tmp_path / "new", [*WORDS[:5], *NEW, *kept]))
    with caplog.at_level(logging.INFO):
        again = tiny_model(load_pretrained=True, pretrained=path, vocabulary=folder)
    old, new = model.state_dict(), again.state_dict()
    for name in (TABLE, "mlm_head.bias"):
        assert torch.equal(new[name][:5], old[name][:5])
        assert torch.equal(new[name][5 + len(NEW) :], old[name][5:200])
        for row, word in enumerate(NEW[:3], start=5):
            pieces = model.tokenizer(word.removeprefix("##"), add_special_tokens=False)["input_ids"]
            torch.testing.assert_close(new[name][row], old[name][pieces].mean(0))
    random = tiny_model(vocabulary=folder).state_dict()  # the same seed
    assert torch.equal(new[TABLE][8], random[TABLE][8])
    assert "of 204 word pieces, 200 keep their weights, 3 start from shorter pieces and 1 from random" in caplog.text


def test_other_models_take_the_words_too(tmp_path, checkpoint):
    model, path = checkpoint
    folder = str(write_vocabulary(tmp_path / "new", [*WORDS[:5], *NEW, *WORDS[5:]]))
    retrieval = tiny_of(FashionRetrieval, load_pretrained=True, pretrained=path, vocabulary=folder)
    assert torch.equal(retrieval.state_dict()[TABLE][9:], model.state_dict()[TABLE][5:])


def test_special_pieces_match_by_their_role(tmp_path):
    words = ["<pad>", "[UNK]", "[CLS]", "[SEP]", "<mask>", *WORDS[5:]]
    config = '{"tokenizer_class": "BertTokenizer", "pad_token": "<pad>", "mask_token": "<mask>"}'
    theirs = load_tokenizer(str(write_vocabulary(tmp_path / "words", words, config)))
    transfer = WordTransfer.between(theirs, load_tokenizer("mini"))
    assert transfer.rows == [[row] for row in range(len(WORDS))] and transfer.shared == len(WORDS)


def test_shipped_encoders_have_the_mini_vocabulary(tmp_path):
    """Their file carries none."""
    folder = str(write_vocabulary(tmp_path / "new", [*WORDS[:5], *NEW, *WORDS[5:]]))
    section = FashionFAE.config_for("mini").model
    mini = FashionFAE.from_config({**section, "pretrained": "mini_encoders.safetensors"})
    ours = FashionFAE.from_config({**section, "pretrained": "mini_encoders.safetensors", "vocabulary": folder})
    assert torch.equal(ours.state_dict()[TABLE][9:], mini.state_dict()[TABLE][5:])


def test_a_smaller_vocabulary_takes_its_share_of_the_encoders(tmp_path):
    folder = str(write_vocabulary(tmp_path / "new", [*WORDS[:5], *NEW, *WORDS[5:60]]))
    section = FashionFAE.config_for("mini").model
    ours = FashionFAE.from_config({**section, "pretrained": "mini_encoders.safetensors", "vocabulary": folder})
    assert len(ours.mlm_head.bias) == len(ours.state_dict()[TABLE]) == 64
