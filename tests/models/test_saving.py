"""Saved models open as they were, from a folder and from a hub, and nothing else does."""

import json
import time

import pytest
import torch
import yaml
from fake_hub import FakeHub
from huggingface_hub import constants, file_download
from huggingface_hub.utils import reset_sessions
from lavis.models import load_model, load_model_and_preprocess
from omegaconf import OmegaConf
from safetensors import safe_open
from tiny import CONFIG, tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import save_atomically
from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.baselines.clip import FashionClip
from fashionfae_lavis.models.hub import is_saved, weights_file
from fashionfae_lavis.models.saving import open_any

ALL = [
    "README.md",
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
]
FACTS = {"data": "Eight drawn products: $5 each.", "figures": {"R@1": 12.345}, "licence": "cc-by-nc-4.0"}
PROCESSING = {"name": "fashionfae_image_eval", "resize": 40, "image_size": 32, "mean": [0.1] * 3, "std": [0.5] * 3}
CAPTION = {"name": "fashionfae_caption"}


def run_checkpoint(folder, **sections):
    """Writes a checkpoint of the tiny model as a run does, evaluated with `PROCESSING`; returns the model and path."""
    model, path = tiny_model().eval(), folder / "checkpoint_last.pth"
    config = {
        "model": OmegaConf.to_container(OmegaConf.load(CONFIG).model) | {"pretrained": "/home/me/start.pth"},
        "datasets": {"mine": {"vis_processor": {"eval": PROCESSING}, "text_processor": {"eval": CAPTION}}},
        "vocabulary": model.carried_vocabulary(),
        **sections,
    }
    folder.mkdir(exist_ok=True)
    save_atomically({"model": model.state_dict(), "config": config}, path)
    return model, path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model and the folder that it was saved to."""
    model, path = run_checkpoint(tmp_path_factory.mktemp("run"))
    folder = path.parent / "saved"
    load_model("fashionfae", str(path)).save_pretrained(folder, **FACTS)
    return model, folder


def digest(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return file.metadata()["sha256"]


def test_a_saved_model_opens_as_it_was(saved, tmp_path):
    model, folder = saved
    assert sorted(path.name for path in folder.iterdir()) == ALL
    again, images, texts = load_model_and_preprocess("fashionfae", str(folder), is_eval=True)
    assert torch.equal(again(tiny_samples())["loss"], model(tiny_samples())["loss"])
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    assert images["eval"].transform.transforms[-1].mean == PROCESSING["mean"]
    assert texts["eval"]("Red dress!") == "red dress"
    again.save_pretrained(tmp_path)
    assert digest(tmp_path) == digest(folder)


def test_nothing_of_the_owners_machine_is_saved(saved):
    _, folder = saved
    for name in ALL:
        content = (folder / name).read_bytes()
        assert b"/home/me" not in content and str(folder.parent).encode() not in content, name


def test_the_configuration_states_architecture_and_image_processing(saved):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    assert config.keys() == {"library_name", "model", "preprocess"}
    assert config["model"]["arch"] == "fashionfae" and config["model"]["image_size"] == 32
    assert config["preprocess"] == {"vis_processor": {"eval": PROCESSING}, "text_processor": {"eval": CAPTION}}


def test_the_card_states_what_is_known(saved):
    _, folder = saved
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["license"] == "cc-by-nc-4.0" and front["library_name"] == "fashionfae-lavis"
    assert front["model-index"][0]["results"][0]["metrics"] == [{"type": "R@1", "value": 12.35}]
    assert "Eight drawn products: $5 each." in text and "| R@1 | 12.35 |" in text
    assert "32 x 32 pixels" in text and '"path/to/saved"' in text


def test_the_card_says_what_is_not_known(tmp_path):
    tiny_model().save_pretrained(tmp_path / "new")
    _, front, text = (tmp_path / "new" / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["license"] == "unknown" and "model-index" not in front
    assert "did not state the training data" in text and "stated no figures" in text and "stated no licence" in text


def test_the_code_of_the_card_runs(saved, monkeypatch):
    _, folder = saved
    _, _, code = (folder / "README.md").read_text().partition("```python\n")
    found = {}
    exec(code.partition("```")[0].replace("path/to/saved", str(folder)), found)
    assert type(found["model"]) is FashionFAE and not found["model"].training


def test_a_baseline_is_saved_and_opened(tmp_path):
    model = FashionClip.from_pretrained("mini").eval()
    model.save_pretrained(tmp_path)
    again = open_any(str(tmp_path)).eval()
    images = {"image": torch.randn(2, 3, 112, 112)}
    assert type(again) is FashionClip
    assert torch.equal(again.extract_features(images), model.extract_features(images))
    with pytest.raises(UserError, match="holds the model fashion_clip, not fashionfae"):
        load_model("fashionfae", str(tmp_path))


def test_references_to_other_sections_of_a_run_are_left_out(tmp_path):
    model = tiny_model()
    section = OmegaConf.merge(model.settings.model, {"vocabulary": "${datasets.catalogue.root}/vocabulary"})
    model.built_from({"model": section}).save_pretrained(tmp_path)
    assert "vocabulary" not in json.loads((tmp_path / "config.json").read_text())["model"]


def test_a_model_without_a_configuration_is_not_saved(tmp_path):
    model = tiny_model()
    model.settings = None
    with pytest.raises(UserError, match="This FashionFAE has no configuration to save"):
        model.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_names_of_saved_models(saved):
    assert is_saved(saved[1]) and is_saved("org/name") and is_saved("org-1/name.v2_b")
    assert not any(map(is_saved, ("mini", "a/b/c", "/org/name", "../name", "runs/none.pth", "org/", "https://x/y")))
    assert weights_file(saved[1]) == saved[1] / "model.safetensors"


def copy_of(folder, target):
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def refused(folder):
    with pytest.raises(UserError) as error:
        load_model("fashionfae", str(folder))
    return str(error.value)


def test_folders_that_are_no_saved_model(saved, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no saved model, because it has no config.json" in refused(tmp_path / "empty")
    _, path = run_checkpoint(tmp_path / "run")
    assert f"name a checkpoint in it, such as {path}" in refused(tmp_path / "run")
    half = copy_of(saved[1], tmp_path / "half")
    (half / "model.safetensors").unlink()
    assert "lacks model.safetensors" in refused(half)
    (half / "config.json").write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    assert "is a model of another library (BertModel)" in refused(half)
    (half / "config.json").write_text('{"architectures": 5, "model_type": 6}')
    assert refused(half).startswith(f"{half} is a model of another library, not of fashionfae-lavis")
    (half / "config.json").write_text("{")
    assert "config.json is damaged" in refused(half)


def test_a_configuration_of_other_weights_is_noticed(saved, tmp_path):
    changed = copy_of(saved[1], tmp_path / "changed")
    config = json.loads((changed / "config.json").read_text())
    config["preprocess"]["vis_processor"]["eval"]["resize"] = 64
    (changed / "config.json").write_text(json.dumps(config))
    assert "does not belong to model.safetensors next to it" in refused(changed)
    weights = copy_of(saved[1], tmp_path / "flipped") / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "is damaged (its digest is wrong)" in refused(weights.parent)


def test_an_unknown_image_processor_is_one_sentence(tmp_path):
    _, path = run_checkpoint(tmp_path, datasets={"mine": {"vis_processor": {"eval": {"name": "my_eval"}}}})
    assert "There is no processor 'my_eval'" in refused(path)


@pytest.fixture
def online(monkeypatch, tmp_path):
    """A hub on this machine, which both sides talk to instead of the real one."""
    fake = FakeHub()
    changes = {"HF_HUB_OFFLINE": False, "ENDPOINT": fake.url, "HF_HUB_CACHE": str(tmp_path / "cache")}
    for name, value in changes.items():
        monkeypatch.setattr(constants, name, value)
    files = fake.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    reset_sessions()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    monkeypatch.undo()
    reset_sessions()


def test_a_model_is_uploaded_and_opened_by_its_id(online, saved, monkeypatch):
    model = load_model("fashionfae", str(saved[1]), is_eval=True)
    assert model.push_to_hub("shop/model", **FACTS) == f"{online.url}/shop/model"
    assert online.created[0]["private"] is True
    assert sorted(online.models["shop/model"]) == ALL
    assert b'"fashionfae", "shop/model"' in online.models["shop/model"]["README.md"]
    again = load_model("fashionfae", "shop/model", is_eval=True)
    assert torch.equal(again(tiny_samples())["loss"].detach(), model(tiny_samples())["loss"].detach())
    # From the cache, without the hub.
    online.server.shutdown()
    online.server.server_close()
    start = time.monotonic()
    assert type(load_model("fashionfae", "shop/model")) is FashionFAE
    assert time.monotonic() - start < 5
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    reset_sessions()
    assert type(load_model("fashionfae", "shop/model")) is FashionFAE


def test_what_the_hub_does_not_give_is_one_sentence(online, saved):
    assert "neither a folder shop/none nor a model of this id on the hub" in refused("shop/none")
    online.models["shop/gated"] = {"config.json": "gated"}
    assert "The hub's model shop/gated is not open to you" in refused("shop/gated")
    online.models["shop/other"] = {"pytorch_model.bin": b""}
    assert "The hub's model shop/other has no config.json" in refused("shop/other")
    online.models["shop/half"] = {"config.json": (saved[1] / "config.json").read_bytes()}
    assert "The hub's model shop/half has no model.safetensors" in refused("shop/half")
    online.models["google/bert"] = {"config.json": b'{"model_type": "bert"}', "model.safetensors": b""}
    assert "google/bert is a model of another library (bert)" in refused("google/bert")
    assert not any("bert/resolve/main/model.safetensors" in asked for asked in online.asked)


def test_an_upload_that_fails_is_one_sentence(online, saved):
    online.server.shutdown()
    online.server.server_close()
    with pytest.raises(UserError, match="shop/model could not be uploaded .*: go online, run `hf auth login`"):
        load_model("fashionfae", str(saved[1])).push_to_hub("shop/model")
    with pytest.raises(UserError, match="'model' is not the id of a model on the hub"):
        tiny_model().push_to_hub("model")


def test_offline_a_model_that_is_not_cached_is_refused_at_once():
    start = time.monotonic()
    message = refused("shop/none")
    assert time.monotonic() - start < 1
    assert message.startswith(
        "There is no folder shop/none, the hub's cache has no config.json of a model with this id"
    )
    with pytest.raises(UserError, match="shop/model could not be uploaded"):
        tiny_model().push_to_hub("shop/model")


def test_publish_takes_data_and_figures_from_the_run(online, tmp_path, capsys):
    recalls = dict.fromkeys(("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10", "mean"), 7.5)
    mode = {"full": recalls, "sub": {"mean": 20.0, "queries": 3}}
    run = {"task": "fashionfae_pretrain", "test_splits": ["val"], "seed": 0}
    _, path = run_checkpoint(tmp_path / "run", run=run)
    (path.parent / "results.json").write_text(json.dumps({"val": {"description": mode, "chance": 0.5}}))
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "photographs.pth").write_text("not to be uploaded")
    main(["publish", str(path), str(folder), "--licence", "mit", "--repo", "shop/model", "--public"])
    card = (folder / "README.md").read_text()
    assert "Datasets: mine." in card and "| retrieval.description.full.t2i_r1 | 7.50 |" in card
    assert "license: mit" in card and "# shop/model" in card
    assert online.created[0]["private"] is False and sorted(online.models["shop/model"]) == ALL
    assert capsys.readouterr().out.splitlines() == [
        f'{folder}: written; load_model("fashionfae", "{folder}") opens it',
        f"{online.url}/shop/model: uploaded",
    ]
    # Another checkpoint of the run was not evaluated.
    path.rename(path.with_name("checkpoint_previous.pth"))
    main(["publish", str(path.with_name("checkpoint_previous.pth")), str(folder), "--data", "Ours."])
    card = (folder / "README.md").read_text()
    assert "Ours." in card and "stated no figures" in card


def test_publish_refuses_a_wrong_id_before_it_writes(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["publish", "mini", str(tmp_path / "new"), "--repo", "model"])
    assert "--repo model is not the id of a model on the hub" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("results", ["no json", "[]", "\ufffd"])
def test_publish_names_damaged_results(results, tmp_path, capsys):
    _, path = run_checkpoint(tmp_path / "run", run={"task": "fashionfae_pretrain"})
    (path.parent / "results.json").write_text(results)
    with pytest.raises(SystemExit):
        main(["publish", str(path), str(tmp_path / "new")])
    assert "results.json is damaged" in capsys.readouterr().err


def test_publish_states_no_figures_of_several_splits(tmp_path):
    _, path = run_checkpoint(tmp_path / "run", run={"task": "fashionfae_pretrain"})
    (path.parent / "results.json").write_text('{"val": {}, "test": {}}')
    main(["publish", str(path), str(tmp_path / "new")])
    assert "stated no figures" in (tmp_path / "new" / "README.md").read_text()
