"""Conversion of files of the authors' code and back, on tiny models; tests/cli tests the commands."""

import sys
import types

import pytest
import torch
from authors import FAMILY, authors_checkpoint, tiny_of
from lavis.models import load_model
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRecognition, FashionRetrieval, ImageTokenizer
from fashionfae_lavis.models.conversion import export_checkpoint, import_checkpoint


@pytest.fixture
def write(tmp_path):
    """Writes a file and returns its path."""

    def write_content(content, name="authors.pth"):
        torch.save(content, tmp_path / name)
        return str(tmp_path / name)

    return write_content


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", FAMILY)
def test_load_model_opens_what_import_writes(tmp_path, write, kind, suffix):
    model, target = FAMILY[kind]().eval(), str(tmp_path / f"ours{suffix}")
    done = import_checkpoint(write({"model": authors_checkpoint(kind), "epoch": 3}), target, config=str(CONFIG))
    assert done.kind == kind and len(done.used) + len(done.left_out) == len(authors_checkpoint(kind))
    for name in ("fashionfae", done.arch):  # fashionfae stands for the family
        again = load_model(name, target, is_eval=True)
        assert type(again) is type(model)
        assert again.state_dict().keys() == model.state_dict().keys()
        assert all(torch.equal(again.state_dict()[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {"model": {f"module.{k}": v for k, v in state.items()}, "optimizer": {"step": 1}},
    ],
)
def test_bare_wrapped_and_ddp_state_dicts(tmp_path, write, wrap):
    target = str(tmp_path / "ours.pth")
    import_checkpoint(write(wrap(authors_checkpoint("contrastive"))), target, config=str(CONFIG))
    assert torch.equal(read_checkpoint(target)["model"]["scale"], torch.tensor([4.0]))


def test_a_retrieval_model_gives_the_same_embeddings_and_refuses_another_name(tmp_path, write):
    target = str(tmp_path / "ours.pth")
    import_checkpoint(write(authors_checkpoint("contrastive")), target, config=str(CONFIG))
    again, model = load_model("fashionfae", target, is_eval=True), tiny_of(FashionRetrieval).eval()
    assert torch.equal(again(tiny_samples())["loss"], model(tiny_samples())["loss"])
    with pytest.raises(UserError, match="holds the model fashionfae_retrieval, not fashionfae_recognition"):
        load_model("fashionfae_recognition", target)


def test_fine_tuning_starts_from_an_imported_checkpoint(tmp_path, write):
    target = str(tmp_path / "ours.pth")
    import_checkpoint(write(authors_checkpoint("pretraining")), target, config=str(CONFIG))
    model = tiny_of(FashionRecognition, load_pretrained=True, pretrained=target, num_classes=7)
    state = tiny_model().state_dict()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items() if not k.startswith("classifier"))
    assert model.classifier[1].out_features == 7


def test_encoders_only_leaves_out_heads_that_nobody_knows(tmp_path, write):
    state = authors_checkpoint("pretraining") | {"model.heads.mpfr.weight": torch.zeros(3)}
    path, target = write({"model": state}), str(tmp_path / "ours.pth")
    with pytest.raises(UserError, match="model.heads.mpfr.weight is unknown"):
        import_checkpoint(path, target, config=str(CONFIG))
    done = import_checkpoint(path, target, config=str(CONFIG), encoders_only=True)
    assert done.left_out["model.heads.mpfr.weight"] == "a head: only the encoders are wanted"
    assert read_checkpoint(target)["config"]["model"]["arch"] == "fashionfae_retrieval"


def test_the_vq_vae_encoder_alone_becomes_an_image_tokenizer(tmp_path, write):
    target = str(tmp_path / "ours.safetensors")
    state = authors_checkpoint("image_tokenizer")
    done = import_checkpoint(write({**state, "decoder.conv_in.weight": torch.zeros(1)}), target, config=str(CONFIG))
    assert done.left_out == {"decoder.conv_in.weight": "the decoder: APIR reads codes only"}
    sizes = OmegaConf.load(CONFIG).model.image_tokenizer
    model = ImageTokenizer.from_config({**sizes, "decoder": False, "weights": target}).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.encode(images), tiny_model(image_tokenizer__decoder=False).image_tokenizer.encode(images))
    with pytest.raises(UserError, match="model.image_tokenizer.weights"):
        load_model("fashionfae", target)


@pytest.mark.parametrize("kind", FAMILY)
def test_ours_to_the_authors_to_ours_gives_identical_tensors(tmp_path, kind):
    """Sizes need not be named again, because the exported file holds them."""
    state, config = FAMILY[kind]().state_dict(), OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    for name, tensor in state.items():
        if tensor.is_floating_point() and name != "scale":
            torch.manual_seed(len(name))
            tensor.normal_()
    model = {**config, "arch": type(FAMILY[kind]()).ARCH}
    ours, theirs, again = (str(tmp_path / name) for name in ("ours.safetensors", "theirs.pth", "again.safetensors"))
    save_safetensors(state, {"model": model}, ours)
    done = export_checkpoint(ours, theirs)
    assert done.kind == kind and not done.left_out
    assert torch.load(theirs, weights_only=True)["model"].keys() == authors_checkpoint(kind).keys()
    import_checkpoint(theirs, again)
    back = read_checkpoint(again)["model"]
    assert back.keys() == state.keys() and all(torch.equal(back[name], tensor) for name, tensor in state.items())


def test_an_image_tokenizer_comes_back_without_its_decoder(tmp_path):
    model = tiny_model().image_tokenizer
    sizes = OmegaConf.to_container(OmegaConf.load(CONFIG).model.image_tokenizer)
    ours, theirs, again = (str(tmp_path / name) for name in ("ours.safetensors", "theirs.pth", "again.safetensors"))
    save_safetensors(model.state_dict(), {"model": {**sizes, "arch": "fashionfae_image_tokenizer"}}, ours)
    assert set(export_checkpoint(ours, theirs).left_out.values()) == {"the authors' image tokenizer has no decoder"}
    import_checkpoint(theirs, again)
    back = read_checkpoint(again)["model"]
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in back.items())
    assert set(back) == {name for name in model.state_dict() if not name.startswith(("decoder.", "post_quant_conv."))}


def test_export_says_what_it_leaves_out_and_fills(tmp_path):
    ours = str(tmp_path / "ours.safetensors")
    config = OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    save_safetensors(tiny_model().state_dict(), {"model": config}, ours)
    done = export_checkpoint(ours, str(tmp_path / "theirs.pth"))
    assert set(done.left_out.values()) == {"the authors' image tokenizer has no decoder"}
    assert list(done.filled) == [f"image_encoder.module.pooler.dense.{kind}" for kind in ("weight", "bias")]
    save_safetensors(tiny_model().state_dict(), {}, ours)
    with pytest.raises(UserError, match="does not name a model that exists in the authors' code"):
        export_checkpoint(ours, str(tmp_path / "theirs.pth"))


class Config:
    """Replaces the OmegaConf objects in an MMF file."""


def test_files_that_hold_objects_are_opened_only_on_the_user_s_word(tmp_path, write):
    target = str(tmp_path / "ours.pth")
    path = write({"model": authors_checkpoint("contrastive"), "config": Config()})
    with pytest.raises(UserError, match="could run code: .*--trust-pickle"):
        import_checkpoint(path, target, config=str(CONFIG))
    assert import_checkpoint(path, target, config=str(CONFIG), trust_pickle=True).kind == "contrastive"


def test_objects_of_a_package_that_is_missing_are_named(tmp_path, write, monkeypatch):
    package = types.ModuleType("mmf_settings")
    package.Config = type("Config", (), {"__module__": "mmf_settings"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mmf_settings", package)
        path = write({"model": authors_checkpoint("contrastive"), "config": package.Config()})
    with pytest.raises(UserError, match="holds objects of the package mmf_settings: install it"):
        import_checkpoint(path, str(tmp_path / "ours.pth"), trust_pickle=True)


def test_files_that_are_no_checkpoints_of_the_authors(tmp_path, write):
    target = str(tmp_path / "ours.pth")
    whole = (tmp_path / write({"model": authors_checkpoint("contrastive")})).read_bytes()
    for name, content in (("half.pth", whole[: len(whole) // 2]), ("empty.pth", b""), ("text.pth", b"some text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} is damaged or not a checkpoint: copy the file again"):
            import_checkpoint(str(tmp_path / name), target)
    for content in ([1, 2], {"model": {}}, {"epoch": 3, "model": None}):
        with pytest.raises(UserError, match="holds no weights, either bare or under 'model'"):
            import_checkpoint(write(content), target)
    with pytest.raises(UserError, match=r"not a checkpoint of the authors' code \(it holds fc.weight\)"):
        import_checkpoint(write({"fc.weight": torch.zeros(2)}), target)
    with pytest.raises(UserError, match="There is no checkpoint file"):
        import_checkpoint(str(tmp_path / "none.pth"), target)
    assert not (tmp_path / "ours.pth").exists()


def test_a_file_of_another_size_is_one_sentence(tmp_path, write):
    path, target = write(authors_checkpoint("contrastive")), str(tmp_path / "ours.pth")
    smaller = OmegaConf.load(CONFIG)
    smaller.model.image_encoder.depth = 1
    OmegaConf.save(smaller, tmp_path / "smaller.yaml")
    with pytest.raises(UserError, match="does not fit the authors' contrastive model: .*layer.1.*is unknown") as caught:
        import_checkpoint(path, target, config=str(tmp_path / "smaller.yaml"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_damaged_export_is_one_sentence(tmp_path, write):
    config = OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    for key, value in (("fashionfae_config", torch.ones(2)), ("fashionfae_vocabulary", torch.ones(2))):
        content = {"model": authors_checkpoint("contrastive"), "fashionfae_config": config, key: value}
        with pytest.raises(UserError) as caught:
            import_checkpoint(write(content), str(tmp_path / "ours.pth"))
        assert "\n" not in str(caught.value) and not (tmp_path / "ours.pth").exists()
    ours = str(tmp_path / "ours.safetensors")
    state = tiny_model().state_dict()
    del state["image_encoder.norm.bias"]
    save_safetensors(state, {"model": config}, ours)
    with pytest.raises(UserError, match=r"The image encoder is damaged \('norm.bias'\)"):
        export_checkpoint(ours, str(tmp_path / "theirs.pth"))


def test_mistakes_in_the_arguments(tmp_path, write):
    path, target = write(authors_checkpoint("contrastive")), str(tmp_path / "ours.pth")
    with pytest.raises(UserError, match="must end in .safetensors or .pth"):
        import_checkpoint(path, "ours.zip")
    with pytest.raises(UserError, match="nothing.yaml' is neither a model type"):
        import_checkpoint(path, target, config="nothing.yaml")
    with pytest.raises(UserError, match="The vocabulary mini has .* word pieces, but the checkpoint has 7:"):
        state = authors_checkpoint("contrastive") | {"model.bert.embeddings.word_embeddings.weight": torch.zeros(7, 32)}
        import_checkpoint(write(state), target, config=str(CONFIG), vocabulary="mini")
