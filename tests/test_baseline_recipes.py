"""The recipes of BLIP, ALBEF and CLIP: valid for LAVIS, comparable with FashionFAE's, and run on a tiny dataset."""

import argparse
import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from baselines import CLASSES, tiny_config
from lavis.common.registry import registry
from omegaconf import OmegaConf
from prepare.dirty_shop import photograph

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.runners import FashionRunner
from fashionfae_lavis.train import build_model, load_config, run_config

FOLDER = Path(__file__).parents[1] / "projects"
SYSTEMS = ("blip", "albef", "clip")
CATALOGUE = ("pretrain", "retrieval", "recognition", "attribute_probe")
RECIPES = sorted(path for system in SYSTEMS for path in (FOLDER / system).rglob("*.yaml"))


def load(path, *options):
    return load_config(argparse.Namespace(cfg_path=path, options=list(options) or None))


def test_each_system_has_fashionfae_s_recipes():
    for system in SYSTEMS:
        names = {str(path.relative_to(FOLDER / system)) for path in RECIPES if system in path.parts}
        mini = {"pretrain", "retrieval", "retrieval_eval", "recognition", "attribute_probe", "zero_shot"}
        paper = {"fashiongen/pretrain", "fashiongen/retrieval", "fashiongen/zero_shot"}
        catalogue = {f"catalogue/{name}" for name in CATALOGUE}
        assert names >= {f"{name}.yaml" for name in mini | paper | catalogue}, system


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_recipes_are_known_to_lavis(path):
    cfg = load(path)
    text = path.read_text()
    program = "evaluate" if cfg.run_cfg.get("evaluate") else "train"
    assert f"python -m lavis.{program} --cfg-path {path.relative_to(FOLDER.parent)}" in text
    assert not any(word in text for word in ("TIME", "TODO"))
    model = registry.get_model_class(cfg.model_cfg.arch)
    # Recipes at the paper's size or with downloaded weights use LAVIS's classes, the others this package's.
    downloaded = "fashiongen" in path.parts or path.stem == "zero_shot"
    assert model.__module__.startswith("lavis." if downloaded else "fashionfae_lavis.models.baselines")
    (data,) = cfg.datasets_cfg.values()
    assert data.vis_processor.eval.image_size == (224 if downloaded else cfg.model_cfg.image_size)
    if model.__name__.startswith(("Blip", "Albef")) and "train_splits" in cfg.run_cfg and "queue_size" in cfg.model_cfg:
        assert cfg.model_cfg.queue_size % cfg.run_cfg.batch_size_train == 0
    if "catalogue" in path.parts:
        assert cfg.model_cfg.vocabulary == f"{data.root}/vocabulary"
    elif not downloaded and path.stem == "pretrain":
        assert model is CLASSES[cfg.model_cfg.arch]
        assert isinstance(model.from_config(cfg.model_cfg), model)


@pytest.mark.parametrize("system", SYSTEMS)
def test_pre_training_has_the_length_and_batch_of_fashionfae_s(system):
    fashionfae, baseline = (load(FOLDER / name / "pretrain.yaml").run_cfg for name in ("fashionfae", system))
    # The learning rate differs, because FashionFAE starts from trained encoders and moves them slowly.
    same = ("runner", "seed", "max_iters", "batch_size_train", "weight_decay", "beta2", "max_grad_norm")
    schedule = ("lr_sched", "warmup_steps", "warmup_factor", "min_lr")
    assert {key: baseline[key] for key in same + schedule} == {key: fashionfae[key] for key in same + schedule}
    for name in ("pretrain", "retrieval"):
        fashionfae, baseline = (
            load(FOLDER / folder / "fashiongen" / f"{name}.yaml") for folder in ("fashionfae", system)
        )
        for key in ("max_iters", "batch_size_train"):
            assert fashionfae.run_cfg[key] == baseline.run_cfg[key], name


def test_a_download_that_fails_is_one_sentence():
    class Task:
        def build_model(self, cfg):
            raise OSError("<urlopen error\n  nobody there>")

    cfg = type("Config", (), {"model_cfg": OmegaConf.create({"arch": "clip"})})
    message = r"`model`: a file that clip needs could not be downloaded \(<urlopen error nobody there>\)"
    with pytest.raises(UserError, match=message):
        build_model(Task(), cfg)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    prepare(folder, train_products=40, validation_products=20, image_size=64)
    return folder


@pytest.fixture
def run(tmp_path, data, monkeypatch):
    """Runs a system's recipe on tiny data with a tiny model; returns its last checkpoint and its results."""
    monkeypatch.chdir(tmp_path)

    def start(system, name, evaluate=False, **settings):
        recipe = OmegaConf.load(FOLDER / system / f"{name}.yaml")
        model = OmegaConf.to_container(tiny_config(recipe.model.arch))
        model.pop("num_classes")
        (section,) = recipe.datasets.values()
        vis = {s: {"name": f"fashionfae_image_{s}", "resize": 32, "image_size": 32} for s in ("train", "eval")}
        section = OmegaConf.merge(section, {"build_info": {"images": {"storage": str(data)}}, "vis_processor": vis})
        small = {"max_iters": 3, "batch_size_train": 8, "batch_size_eval": 16, "device": "cpu"}
        pretrained = settings.pop("pretrained", None)
        settings = {**small, "output_dir": f"{system}_{name}{len(list(tmp_path.iterdir()))}", **settings}
        recipe.update(
            {
                "model": {**model, "pretrained": pretrained},
                "datasets": {"fashiongen": section},
                "run": OmegaConf.merge(recipe.run, settings),
            }
        )
        OmegaConf.save(recipe, tmp_path / "config.yaml")
        results = run_config(load(tmp_path / "config.yaml"), evaluate)
        (folder,) = (tmp_path / settings["output_dir"]).iterdir()
        return str(folder / "checkpoint_last.pth"), results["val"]

    return start


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_pre_training_and_the_recipes_that_start_from_its_checkpoint(system, run, capsys):
    checkpoint, trained = run(system, "pretrain")
    lines = Path(checkpoint).with_name("metrics.jsonl").read_text().splitlines()
    expected = {
        "blip": {"loss_itc", "loss_itm", "loss_lm"},
        "albef": {"loss_itc", "loss_itm", "loss_mlm"},
        "clip": set(),
    }
    assert {name for name in json.loads(lines[0]) if name.startswith("loss_")} == expected[system]

    k_test = 0 if system == "clip" else 4
    _, evaluated = run(system, "retrieval_eval", evaluate=True, pretrained=checkpoint, k_test=k_test)
    for mode in ("description", "description+attributes"):
        assert evaluated[mode]["full"] == trained[mode]["full"] and evaluated[mode]["sub"] == trained[mode]["sub"]
    assert ("reranked" in evaluated["description+attributes"]) == bool(k_test)
    assert ("re-ranked by ITM" in capsys.readouterr().out) == bool(k_test)

    tuned, _ = run(system, "retrieval", pretrained=checkpoint)
    before, after = (torch.load(path, weights_only=True)["model"] for path in (checkpoint, tuned))
    name = "logit_scale" if system == "clip" else "temp"
    assert 0 < abs(after[name] - before[name]) < 0.02  # 3 updates of at most 3e-4

    _, probed = run(system, "attribute_probe", evaluate=True, pretrained=checkpoint)
    assert probed["attributes"]["category"]["products"] == 20 and "aetp" not in probed["attributes"]["category"]

    recognises = {"evaluate": True, "pretrained": checkpoint} if system == "clip" else {"pretrained": checkpoint}
    _, recognised = run(system, "recognition", **recognises)
    assert recognised["images"] > 40 and 0 <= recognised["accuracy"] <= 100


@pytest.mark.slow
def test_a_run_of_albef_resumes_bit_for_bit(run, monkeypatch):
    """LAVIS's runner cannot do this: its checkpoints lack the momentum encoders that it then expects."""
    settings = {"max_iters": 4, "iters_per_inner_epoch": 2}
    whole, _ = run("albef", "pretrain", output_dir="whole", **settings)
    with monkeypatch.context() as patch:
        patch.setattr(FashionRunner, "_save", stop_at_the_second_time())
        with pytest.raises(KeyboardInterrupt):
            run("albef", "pretrain", output_dir="halves", **settings)
    (first,) = Path("halves").glob("*/checkpoint_last.pth")
    assert torch.load(first, weights_only=True)["iters"] == 2
    halves, _ = run("albef", "pretrain", output_dir="halves", resume_ckpt_path="auto", **settings)
    assert Path(halves).samefile(first)
    state, again = (torch.load(path, weights_only=True) for path in (whole, halves))
    assert again["iters"] == 4 and any("_m." in name for name in state["model"])
    for name, tensor in state["model"].items():
        assert torch.equal(tensor, again["model"][name]), name


def stop_at_the_second_time():
    save, calls = FashionRunner._save, []

    def stop(self):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(self)

    return stop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A catalogue of sixteen products with `fit`, an attribute that no other dataset has, and its own vocabulary."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "photos").mkdir()
    rows = ["id,title,image,category,fit"]
    for i in range(16):
        photograph(i, (50, 60)).save(folder / "photos" / f"{i}.jpg")
        rows.append(f"{i},Anorak number {i},{i}.jpg,{('TOPS', 'PANTS')[i % 2]},{('loose', 'slim')[i // 2 % 2]}")
    (folder / "shop.csv").write_text("\n".join(rows))
    attributes = {"category": "category", "fit": "fit"}
    prepare_catalogue(folder / "shop.csv", folder / "photos", folder / "out", attributes=attributes, validation=0.5)
    shutil.rmtree(folder / "out" / "vocabulary", ignore_errors=True)
    shutil.copytree(shipped("vocabularies", "mini"), folder / "out" / "vocabulary")
    with open(folder / "out" / "vocabulary" / "vocab.txt", "a") as file:
        file.write("anorak\n")
    return folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_recipes_for_a_catalogue_run_on_a_small_one(system, shop, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)

    def start(name, **options):
        path = FOLDER / system / "catalogue" / f"{name}.yaml"
        (dataset,) = load(path).datasets_cfg
        evaluate = load(path).run_cfg.get("evaluate", False)
        length = {} if evaluate else {"max_iters": 2, "iters_per_inner_epoch": 2, "batch_size_train": 4}
        run = {f"run.{key}": value for key, value in {**length, "num_workers": 0, "device": "cpu"}.items()}
        options = {f"datasets.{dataset}.root": shop, **run, **options}
        cfg = load(path, *(f"{key}={value}" for key, value in options.items()))
        return run_config(cfg, evaluate)["val"]

    with caplog.at_level(logging.WARNING):
        trained = start("pretrain", **{"model.max_txt_len": 12})
    (warning,) = [record.getMessage() for record in caplog.records if "training texts" in record.getMessage()]
    assert warning.startswith(
        "datasets.catalogue: 8 of 8 training texts (100.0 %) are longer than model.max_txt_len, 12"
    )
    (checkpoint,) = (tmp_path / "output" / system / "catalogue").glob("*/checkpoint_last.pth")
    checkpoint = {"model.pretrained": checkpoint, "model.max_txt_len": 12}
    tuned = start("retrieval", **checkpoint)
    for result in (trained, tuned):
        assert 0 <= result["description+attributes"]["full"]["mean"] <= 100
    probed = start("attribute_probe", **checkpoint)
    assert set(probed["attributes"]) == {"category", "fit"}
    alone = {} if system == "clip" else {"model.use_text": False}
    label = {"datasets.catalogue_recognition.label": "fit"}
    recognised = start("recognition", **checkpoint, **label, **alone)
    assert recognised["classes"] == 2 and recognised["images"] == 8
