"""Vocabularies from folders and checkpoints, and those that are damaged."""

import os
import shutil

import pytest
import torch
from authors import tiny_of
from baselines import tiny_baseline, tiny_config
from omegaconf import OmegaConf
from tiny import tiny_model, tiny_samples
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast
from vocabularies import WORDS, save, turned, write_vocabulary

from fashionfae_lavis.checkpoints import save_atomically, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE, FashionRetrieval
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.models.export import export_weights
from fashionfae_lavis.models.vocabulary import carried, from_carried, load_tokenizer
from fashionfae_lavis.text.word_pieces import tokenize_texts


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_opens_in_another_folder_without_the_vocabulary(tmp_path, monkeypatch, suffix):
    write_vocabulary(tmp_path / "here" / "data" / "words", turned())
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model, path = tiny_model(vocabulary="data/words").eval(), tmp_path / "there" / f"a{suffix}"
    save(model, path)
    shutil.rmtree(tmp_path / "here" / "data")
    monkeypatch.chdir(tmp_path / "there")
    again = FashionFAE.from_pretrained(path.name).eval()
    samples = tiny_samples()
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab() != load_tokenizer("mini").get_vocab()
    assert torch.equal(again(samples)["loss"], model(samples)["loss"])  # with masked words
    export_weights(str(path), str(tmp_path / "exported.safetensors"))
    exported = FashionFAE.from_pretrained(str(tmp_path / "exported.safetensors")).eval()
    assert torch.equal(exported(samples)["loss"], model(samples)["loss"])
    # A recipe on this machine may name the checkpoint as the vocabulary.
    assert tiny_of(FashionRetrieval, vocabulary=path.name).tokenizer.get_vocab() == model.tokenizer.get_vocab()


@pytest.mark.parametrize("arch", ["fashion_blip", "fashion_albef", "fashion_clip"])
def test_a_baseline_carries_its_vocabulary_with_the_pieces_it_added(tmp_path, arch):
    model, path = tiny_baseline(arch).eval(), str(tmp_path / "a.pth")
    config = {**OmegaConf.to_container(tiny_config(arch)), "vocabulary": "data/words"}
    content = {"model": model.state_dict(), "config": {"model": config, "vocabulary": model.carried_vocabulary()}}
    save_atomically(content, path)
    again = type(model).from_pretrained(path).eval()
    assert again.word_pieces.get_vocab() == model.word_pieces.get_vocab()
    texts = tiny_samples()["text_input"]
    assert torch.equal(adapt(again).embed_texts(texts), adapt(model).embed_texts(texts))


def test_a_checkpoint_without_a_vocabulary_takes_the_one_it_names(tmp_path, monkeypatch):
    write_vocabulary(tmp_path / "data" / "words", turned())
    monkeypatch.chdir(tmp_path)
    model, path = tiny_model(vocabulary="data/words").eval(), tmp_path / "old.pth"
    save(model, path, vocabulary=None)
    assert FashionFAE.from_pretrained(str(path)).tokenizer.get_vocab() == model.tokenizer.get_vocab()
    export_weights(str(path), str(tmp_path / "new.safetensors"))  # carries it from now on
    shutil.rmtree(tmp_path / "data")
    assert FashionFAE.from_pretrained(str(tmp_path / "new.safetensors")).tokenizer.get_vocab() == (
        model.tokenizer.get_vocab()
    )
    with pytest.raises(UserError, match="vocabulary of `model.vocabulary` from 'data/words'"):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        FashionFAE.from_pretrained(str(path))
    with pytest.raises(UserError, match="old.pth carries no vocabulary: set model.vocabulary"):
        load_tokenizer(str(path))


def test_a_relative_folder_may_lie_in_the_cache(tmp_path, monkeypatch):
    write_vocabulary(tmp_path / "shop" / "vocabulary", turned())
    monkeypatch.setenv("FASHIONFAE_CACHE", str(tmp_path))
    assert load_tokenizer("shop/vocabulary").get_vocab()[WORDS[5]] == len(WORDS) - 1


def test_a_carried_vocabulary_reads_texts_alike():
    """Also one whose words OmegaConf would take for a reference."""
    texts = ["Red ${run} dress, size 12 [SEP] the image season is fall winter 2016", "naïve", ""]
    tokenizer = load_tokenizer("mini")
    again = from_carried(OmegaConf.create({"a": carried(tokenizer)}).a, "a.pth")
    for ours, theirs in zip(tokenize_texts(texts, tokenizer, 50), tokenize_texts(texts, again, 50), strict=True):
        assert torch.equal(ours, theirs)
    assert again.special_tokens_map == tokenizer.special_tokens_map and "$" not in carried(tokenizer)


@pytest.mark.parametrize("name", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
def test_a_missing_special_piece_is_named(tmp_path, name):
    folder = write_vocabulary(tmp_path / "words", [word for word in WORDS if word != name])
    with pytest.raises(UserError) as error:
        load_tokenizer(str(folder))
    assert str(error.value).startswith(f"The vocabulary {folder} of `model.vocabulary` lacks the piece {name}: add it")


DAMAGED = {
    "twice": (WORDS + WORDS[9:12], None, "repeats words or has empty lines"),
    "empty lines": ([*WORDS[:9], "", "", *WORDS[9:]], None, "repeats words or has empty lines"),
    "empty": (b"", None, r"lacks the piece \[PAD\]"),
    "special pieces alone": (WORDS[:5], None, "has no words"),
    "binary": (bytes(range(128, 256)) * 9, None, "Cannot read the vocabulary"),
    "no json": (WORDS, "{", "Cannot read the vocabulary"),
    "a list": (WORDS, "[]", "Cannot read the vocabulary"),
    "a number as class": (WORDS, '{"tokenizer_class": 3}', "Cannot read the vocabulary"),
    "another class": (WORDS, '{"tokenizer_class": "GPT2Tokenizer"}', "Cannot read the vocabulary"),
    "a list as length": (
        WORDS,
        '{"tokenizer_class": "BertTokenizer", "model_max_length": [9]}',
        "has no number as model_max_length",
    ),
    "a number as piece": (WORDS, '{"tokenizer_class": "BertTokenizer", "cls_token": 3}', "Cannot read the vocabulary"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_vocabulary_is_one_sentence_that_names_it(tmp_path, case):
    words, config, message = DAMAGED[case]
    folder = write_vocabulary(tmp_path / "words", words, config)
    with pytest.raises(UserError, match=message) as error:
        load_tokenizer(str(folder))
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_folder_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    file, empty = tmp_path / "vocab.txt", tmp_path / "empty"
    file.write_text("\n".join(WORDS))
    empty.mkdir()
    (tmp_path / "damaged.pth").write_bytes(b"nothing")
    for name, message in (
        (str(file), "is the file .*, but must be a folder"),
        (str(empty), "is the folder .*empty, which has no tokenizer_config.json"),
        (str(tmp_path / "damaged.pth"), "damaged or not a checkpoint"),
        (3, "`model.vocabulary` is 3"),
        (None, "`model.vocabulary` is None"),
        ("", "`model.vocabulary` is ''"),
        (["mini"], "`model.vocabulary` is"),
    ):
        with pytest.raises(UserError, match=message):
            load_tokenizer(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_vocabulary_without_permission_is_one_sentence(tmp_path):
    folder = write_vocabulary(tmp_path / "words")
    (folder / "vocab.txt").chmod(0)
    with pytest.raises(UserError, match="Cannot read the vocabulary"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", 3, '{"tokenizer": {}, "special_tokens": {}}', "[" * 100_000])
def test_a_damaged_carried_vocabulary_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.pth"
    save(tiny_model(), path, vocabulary=text)
    with pytest.raises(UserError, match=f"{path} carries a damaged vocabulary"):
        FashionFAE.from_pretrained(str(path))


def test_a_vocabulary_that_is_none_of_word_pieces_is_refused(tmp_path):
    letters = ByteLevelBPETokenizer()
    special = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
    letters.train_from_iterator(["the image is red"], vocab_size=300, special_tokens=list(special.values()))
    names = {f"{name}_token": piece for name, piece in special.items()}
    PreTrainedTokenizerFast(tokenizer_object=letters._tokenizer, **names).save_pretrained(tmp_path / "bpe")
    with pytest.raises(
        UserError, match="bpe of `model.vocabulary` is one of BPE, not of word pieces: use a vocabulary"
    ):
        load_tokenizer(str(tmp_path / "bpe"))


def test_texts_must_be_separated_by_sep(tmp_path):
    config = '{"tokenizer_class": "BertTokenizer", "model_max_length": 512, "sep_token": "[END]"}'
    folder = write_vocabulary(tmp_path / "end", ["[END]" if word == "[SEP]" else word for word in WORDS], config)
    with pytest.raises(UserError, match=r"separates texts by \[END\], but the texts of products have \[SEP\]"):
        load_tokenizer(str(folder))


def test_a_folder_without_a_configuration_names_what_it_lacks(tmp_path):
    folder = write_vocabulary(tmp_path / "words")
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(
        UserError, match="words, which has no tokenizer_config.json: a vocabulary is a folder with vocab"
    ):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("arch", ["fashion_blip", "fashion_blip_caption", "fashion_albef", "fashion_clip"])
def test_baselines_take_any_vocabulary_and_their_checkpoints_carry_it(arch, tmp_path):
    """From an encoder file only the image encoder is loaded, so the number of words may differ."""
    vocabulary = str(write_vocabulary(tmp_path / "shop", [*turned(), "anorak", "##oraks"]))
    encoder = tiny_baseline("fashion_blip").visual_encoder.state_dict()
    start = str(tmp_path / "encoders.safetensors")
    state = {f"image_encoder.{name}": tensor for name, tensor in encoder.items()}
    save_safetensors(state, {"model": {"arch": "encoders"}}, start)
    model = tiny_baseline(arch, vocabulary=vocabulary, pretrained=start).eval()
    assert len(model.word_pieces) == len(WORDS) + 2 + (2 if "blip" in arch else 0)
    batch = {**tiny_samples(), "image_id": torch.arange(4), "epoch": 0, "iters": 1, "num_iters_per_epoch": 4}
    batch["text_input"] = [f"{text} anoraks" for text in batch["text_input"]]
    assert model(batch)["loss"].isfinite()
    config = OmegaConf.to_container(tiny_config(arch, vocabulary=vocabulary))
    path = str(tmp_path / "model.pth")
    content = {"model": config, "vocabulary": model.carried_vocabulary()}
    save_atomically({"model": model.state_dict(), "config": content}, path)
    again = tiny_baseline(arch, vocabulary=path, pretrained=path).eval()
    assert again.word_pieces.get_vocab() == model.word_pieces.get_vocab()
    if arch != "fashion_blip_caption":
        text, image = ["a red anoraks"], batch["image"]
        assert torch.equal(adapt(again).embed_texts(text), adapt(model).embed_texts(text))
        assert torch.equal(adapt(again).embed_images(image), adapt(model).embed_images(image))
    with pytest.raises(UserError, match="was trained with another vocabulary"):
        tiny_baseline(arch, pretrained=path)
