"""Models of LAVIS's own classes are saved and opened as they were, without a download."""

import json

import pytest
import torch
from drawn_photographs import photograph
from lavis.models import load_model, load_model_and_preprocess
from lavis.models.clip_models.tokenizer import tokenize
from lavis_runs import PROCESSING, fake_downloads, forbid_downloads, lavis_run
from safetensors import safe_open
from tokenizers import Tokenizer
from trained import checkpoint_of

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.models.sharing import open_shared
from fashionfae_lavis.search.encoder import Encoder

EMBEDDING = ("blip_retrieval", "blip_pretrain", "albef_retrieval", "albef_pretrain", "clip")
OTHERS = ("blip_feature_extractor", "albef_feature_extractor", "blip_caption", "albef_classification")
TEXTS = ["a red dress", "blue wool coat long", "it's a shirt"]
FILES = ["README.md", "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json"]
FILES += ["tokenizer_config.json"]


def saved_run(arch, tmp_path, monkeypatch):
    """Publishes a run of LAVIS's own class; returns its model and the folder. Later downloads fail."""
    with monkeypatch.context() as patch:
        fake_downloads(patch)
        model, path = lavis_run(arch, tmp_path / "run")
        main(["publish", str(path), str(tmp_path / "saved"), "--licence", "mit"])
    forbid_downloads(monkeypatch)
    return model, tmp_path / "saved"


@pytest.mark.parametrize("arch", [*EMBEDDING, *OTHERS])
def test_a_saved_model_of_lavis_opens_as_it_was(arch, tmp_path, monkeypatch, capsys):
    model, folder = saved_run(arch, tmp_path, monkeypatch)
    assert f'load_model("{arch}", "{folder}") opens it' in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == FILES
    again, images, texts = load_model_and_preprocess(arch, str(folder), is_eval=True)
    assert not again.training and isinstance(again, type(model)) and load_model(arch, str(folder)).training
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert images["eval"](photograph(0)).shape == (3, 32, 32) and texts["eval"]("Red Dress!") == "red dress"
    if arch in (*EMBEDDING, *OTHERS[:2]):
        torch.testing.assert_close(adapt(again).embed_texts(TEXTS), adapt(model).embed_texts(TEXTS))
        pixels = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(adapt(again).embed_images(pixels), adapt(model).embed_images(pixels))
    if arch == "blip_retrieval":
        assert again.tokenizer.enc_token_id == model.tokenizer.enc_token_id
        encoder = Encoder.open(str(folder), "cpu")
        found = torch.from_numpy(encoder.embed_texts(["A red dress"]))
        torch.testing.assert_close(found, adapt(model).embed_texts(TEXTS[:1]))
        assert 0 < encoder.match([photograph(0)], "red")[0] < 1


def test_a_saved_model_of_lavis_can_be_saved_again(tmp_path, monkeypatch):
    _, folder = saved_run("albef_retrieval", tmp_path, monkeypatch)
    open_shared(str(folder)).save(tmp_path / "again", licence="mit")
    digests = []
    for place in (folder, tmp_path / "again"):
        with safe_open(place / "model.safetensors", "pt") as file:
            digests.append(file.metadata()["sha256"])  # of weights, configuration and vocabulary
    assert digests[0] == digests[1]
    assert Encoder.open(str(tmp_path / "again"), "cpu").digest == Encoder.open(str(folder), "cpu").digest


def test_nothing_of_the_owners_machine_is_saved(tmp_path, monkeypatch):
    _, folder = saved_run("blip_retrieval", tmp_path, monkeypatch)
    for name in FILES:
        content = (folder / name).read_bytes()
        assert b"/home/me" not in content and str(tmp_path).encode() not in content, name
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["bert_config"]["hidden_size"] == 32 and config["preprocess"] == PROCESSING
    card = (folder / "README.md").read_text()
    assert "A blip_retrieval model of [LAVIS]" in card and "arxiv" not in card
    assert "32 x 32 pixels and texts of at most 24 word pieces" in card and "678 word pieces" in card


def test_the_vocabulary_file_of_clip_reads_as_lavis_does(tmp_path, monkeypatch):
    _, folder = saved_run("clip", tmp_path, monkeypatch)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = ["Red DRESS", "women's t-shirt: 100% wool, size 38/40 (EU)", "a", "", "naïve 🎉 日本", "<end_of_text> x"]
    assert [row.ids for row in tokenizer.encode_batch(texts)] == tokenize(texts).tolist()
    long = tokenizer.encode("dress " * 100).ids
    assert len(long) == 77 and long[:76] == tokenize(["dress " * 100])[0, :76].tolist() and long[76] == max(long)


def test_a_folder_of_another_model_is_one_sentence(tmp_path, monkeypatch):
    _, folder = saved_run("clip", tmp_path, monkeypatch)
    with pytest.raises(UserError, match='holds the model clip, not blip_retrieval: load it as "clip"'):
        load_model("blip_retrieval", str(folder))
    with pytest.raises(UserError, match="holds the model fashion_clip, which is none of LAVIS's BLIP, ALBEF and CLIP"):
        load_model("clip", str(checkpoint_of("fashion_clip", tmp_path / "last.pth")))
    with pytest.raises(UserError, match="There is no checkpoint file .*none.pth"):
        load_model("clip", str(tmp_path / "none.pth"))
    config = {"datasets": {"shop": {"vis_processor": {}}}}
    with pytest.raises(UserError, match="does not say how it processes images"):
        open_shared(str(lavis_run("clip", tmp_path / "bare", **config)[1]))


@pytest.mark.parametrize("arch", ["fashion_blip", "fashion_albef", "fashion_clip", "fashion_blip_caption"])
def test_a_baseline_is_published_and_opened(arch, tmp_path):
    path = checkpoint_of(arch, tmp_path / "checkpoint_last.pth")
    main(["publish", str(path), str(tmp_path / "saved")])
    ours = load_model(arch, str(path)).state_dict()
    theirs = load_model(arch, str(tmp_path / "saved")).state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    if arch != "fashion_blip_caption":
        assert Encoder.open(str(tmp_path / "saved"), "cpu").digest == Encoder.open(str(path), "cpu").digest
