"""Checkpoints made by hand: one sentence that names the file, without filling the memory or taking long."""

import resource
import time

import pytest
import torch
from authors import tiny_of
from baselines import tiny_baseline, tiny_config
from omegaconf import OmegaConf
from safetensors.torch import save_file
from tiny import CONFIG, tiny_model

from fashionfae_lavis.checkpoints import read_checkpoint, save_atomically
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE, FashionRecognition
from fashionfae_lavis.models.baselines import FashionAlbef, FashionBlip, FashionClip


def section(**changes):
    """The `model` section of the tiny model, with dotted keys changed or, where the value is KeyError, removed."""
    content = OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    for key, value in changes.items():
        *path, last = key.split("__")
        part = content
        for name in path:
            part = part[name]
        part[last] = value
        if value is KeyError:
            del part[last]
    return content


@pytest.fixture(scope="module")
def weights():
    return tiny_model().state_dict()


def refused(model_class, path, content, match):
    """Checks that opening the content as a checkpoint is one sentence, within seconds and a few hundred megabytes."""
    save_atomically(content, path)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(UserError, match=match) as error:
        model_class.from_pretrained(str(path))
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


ABSURD = [
    {"image_encoder__width": 10**9},
    {"image_encoder__width": 10**5, "fusion_encoder__hidden_size": 10**5},
    {"image_encoder__depth": 10**9},
    {"image_encoder__depth": 10**5},
    {"image_size": 10**6 * 8},
    {"fusion_encoder__hidden_size": 10**9},
    {"fusion_encoder__num_hidden_layers": 10**9},
    {"fusion_encoder__intermediate_size": 10**9},
    {"fusion_encoder__max_position_embeddings": 10**9},
    {"image_tokenizer__channels": 10**6},
    {"image_tokenizer__codes": 10**9},
    {"image_tokenizer__blocks": 10**9},
    {"image_tokenizer__multipliers": [1] * 500},
]


@pytest.mark.parametrize("changes", ABSURD, ids=lambda changes: str(changes)[:60])
def test_absurd_sizes_are_refused_before_they_fill_the_memory(tmp_path, weights, changes):
    content = {"model": weights, "config": {"model": section(**changes)}}
    refused(
        FashionFAE, tmp_path / "a.pth", content, "far larger than its weights|cannot be built|of another architecture"
    )


WRONG = [
    {"image_encoder": KeyError},
    {"image_encoder": 3},
    {"image_encoder": None},
    {"image_encoder__width": "wide"},
    {"image_encoder__width": None},
    {"image_encoder__width": -8},
    {"image_encoder__width": 0},
    {"image_encoder__heads": 0},
    {"image_encoder__patch_size": 0},
    {"image_encoder__depth": KeyError},
    {"image_encoder__depth": 1.5},
    {"image_encoder__unknown": 1},
    {"image_encoder__stem": "abc"},
    {"image_size": [3]},
    {"image_size": 33},
    {"fusion_encoder": []},
    {"fusion_encoder__split": KeyError},
    {"fusion_encoder__hidden_size": 33},
    {"fusion_encoder__num_attention_heads": 0},
    {"fusion_encoder__hidden_dropout_prob": 7},
    {"fusion_encoder__hidden_act": "nothing"},
    {"image_tokenizer": None},
    {"image_tokenizer__multipliers": 3},
    {"image_tokenizer__codes": -1},
    {"apir__masked_patches": "many"},
    {"apir__masked_patches": 10**9},
    {"apir__unknown": 3},
    {"max_length": -5},
    {"max_length": "long"},
    {"max_length": 10**9},
    {"model_type": ["mini"]},
    {"model_type": "huge"},
    {"arch": ["fashionfae"]},
    {"arch": "blip_retrieval"},
    {"arch": "nothing"},
    {"arch": "${model.arch}"},
    {"image_size": torch.zeros(3)},
]


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_wrong_configuration_is_one_sentence(tmp_path, weights, changes):
    content = {"model": weights, "config": {"model": section(**changes)}}
    save_atomically(content, tmp_path / "a.pth")
    with pytest.raises(UserError) as error:
        FashionFAE.from_pretrained(str(tmp_path / "a.pth"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


@pytest.mark.parametrize(
    "config", [None, [], 3, {}, {"model": None}, {"model": []}, {"model": 3}, {"run": {}}], ids=str
)
def test_a_checkpoint_without_a_configuration_is_one_sentence(tmp_path, weights, config):
    refused(FashionFAE, tmp_path / "a.pth", {"model": weights, "config": config}, "configuration")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"model": 3}'])
def test_a_damaged_configuration_in_safetensors_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.safetensors"
    save_file(tiny_model().state_dict(), path, metadata={"config": text})
    with pytest.raises(UserError, match=str(path)):
        FashionFAE.from_pretrained(str(path))


STATES = {
    "integers": (lambda t: torch.zeros(t.shape, dtype=torch.int64), "holds torch.int64 instead of torch.float32"),
    "booleans": (lambda t: torch.zeros(t.shape, dtype=torch.bool), "holds torch.bool"),
    "complex": (lambda t: torch.zeros(t.shape, dtype=torch.complex64), "holds torch.complex64"),
    "scalar": (lambda t: torch.tensor(3.0), r"is \(\) instead of \(32,"),
    "another shape": (lambda t: t.flatten(), "instead of"),
    "endless": (lambda t: torch.zeros(1).expand(10**12), r"is \(1000000000000,\) instead of"),
    "sparse": (lambda t: t.to_sparse(), "is not a dense tensor"),
    "NaN": (lambda t: t * torch.nan, "a.pth holds a diverged model .* use an earlier checkpoint"),
    "infinite": (lambda t: t + torch.inf, "is NaN or infinite"),
    "a number": (lambda t: 3.0, "holds other things than named tensors"),
    "a list": (lambda t: t.tolist(), "holds other things than named tensors"),
}


@pytest.mark.parametrize("case", STATES)
def test_weights_that_are_none_are_one_sentence(tmp_path, weights, case):
    change, message = STATES[case]
    name = "image_encoder.norm.weight" if case == "another" else "image_encoder.blocks.0.attn.qkv.weight"
    name = name if name in weights else "image_encoder.pos_embed"
    content = {"model": {**weights, name: change(weights[name])}, "config": {"model": section()}}
    refused(FashionFAE, tmp_path / "a.pth", content, message.replace(r"\(32,", r"\("))


def test_extra_and_missing_weights_and_names_that_are_none(tmp_path, weights):
    config = {"model": section()}
    refused(
        FashionFAE, tmp_path / "a.pth", {"model": {**weights, "x": torch.ones(1)}, "config": config}, "x is unknown"
    )
    refused(FashionFAE, tmp_path / "a.pth", {"model": {}, "config": config}, "is missing")
    state = {**weights, 3: torch.ones(1)}
    refused(FashionFAE, tmp_path / "a.pth", {"model": state, "config": config}, "other things than named tensors")


@pytest.mark.parametrize("model_class", [FashionBlip, FashionAlbef, FashionClip])
def test_baselines_are_guarded_too(tmp_path, model_class):
    state, config = tiny_baseline(model_class.ARCH).state_dict(), OmegaConf.to_container(tiny_config(model_class.ARCH))
    for change in (
        {"text_encoder": 3},
        {"embed_dim": 10**9},
        {"embed_dim": "x"},
        {"image_size": None},
        {"image_encoder": {**config["image_encoder"], "width": 10**6}},
        {"max_txt_len": 10**9},
    ):
        content = {"model": state, "config": {"model": {**config, **change}}}
        refused(model_class, tmp_path / "a.pth", content, "a.pth|model.max_txt_len is 1000000000")


def test_classes_that_do_not_fit_are_one_sentence(tmp_path):
    model = tiny_of(FashionRecognition, num_classes=3)
    base = section(arch="fashionfae_recognition", num_classes=3)
    for classes in (["a"], 3, {"a": 1}, ["a", "b", 3, 4]):
        content = {"model": model.state_dict(), "config": {"model": {**base, "classes": classes}}}
        save_atomically(content, tmp_path / "a.pth")
        with pytest.raises(UserError):
            FashionRecognition.from_pretrained(str(tmp_path / "a.pth"))
    assert read_checkpoint(tmp_path / "a.pth")
