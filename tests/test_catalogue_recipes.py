"""The recipes for a catalogue and for Fashion-MNIST."""

import argparse
from pathlib import Path

import pytest
from prepare.dirty_shop import photograph

from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.train import load_config, run_config

PROJECT = Path(__file__).parents[1] / "projects" / "fashionfae"
RECIPES = {
    "catalogue/pretrain": "fashionfae_pretrain",
    "catalogue/small": "fashionfae_pretrain",
    "catalogue/retrieval": "fashion_retrieval",
    "catalogue/recognition": "fashion_recognition",
    "catalogue/attribute_probe": "attribute_probe",
    "fashion_mnist/recognition": "fashion_recognition",
}


SHALLOW = (
    "model.load_pretrained=False",
    "model.vocabulary=mini",
    "model.image_encoder.depth=1",
    "model.fusion_encoder.num_hidden_layers=2",
    "model.fusion_encoder.split=1",
)


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_are_known_to_lavis(name):
    cfg = load_config(argparse.Namespace(cfg_path=PROJECT / f"{name}.yaml", options=None))
    (data,) = cfg.datasets_cfg.values()
    assert cfg.run_cfg.task == RECIPES[name]
    assert cfg.model_cfg.model_type == ("small" if name.endswith("small") else "mini")
    for split in ("train", "eval"):
        assert data.vis_processor[split].image_size == cfg.model_cfg.image_size
    if name == "fashion_mnist/recognition":
        assert cfg.model_cfg.use_text is False and data.label == "sub category"
        assert cfg.run_cfg.test_splits == ["test"]


@pytest.mark.parametrize("name", ["catalogue/retrieval", "catalogue/recognition"])
def test_the_length_follows_from_the_catalogue(name):
    run = load_config(argparse.Namespace(cfg_path=PROJECT / f"{name}.yaml", options=None)).run_cfg
    counted = ("max_iters", "warmup_steps", "iters_per_inner_epoch", "milestones")
    assert run.max_epoch and run.warmup_share and not set(counted) & set(run)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A catalogue of sixteen products with `fit`, an attribute that no other dataset has."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "photos").mkdir()
    rows = ["id,title,image,category,fit"]
    for i in range(16):
        photograph(i, (50, 60)).save(folder / "photos" / f"{i}.jpg")
        rows.append(f"{i},Shirt number {i},{i}.jpg,{('TOPS', 'PANTS')[i % 2]},{('loose', 'slim')[i // 2 % 2]}")
    (folder / "shop.csv").write_text("\n".join(rows))
    attributes = {"category": "category", "fit": "fit"}
    prepare_catalogue(folder / "shop.csv", folder / "photos", folder / "out", attributes=attributes, validation=0.5)
    return folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("catalogue/")])
def test_each_recipe_runs_on_a_small_catalogue(name, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (key,) = load_config(argparse.Namespace(cfg_path=PROJECT / f"{name}.yaml", options=None)).datasets_cfg
    options = [
        f"datasets.{key}.root={root}",
        "run.max_iters=2",
        "run.iters_per_inner_epoch=2",
        "run.batch_size_train=4",
    ]
    if name.endswith("recognition"):
        options.append(f"datasets.{key}.label=fit")
    if name.endswith("small"):  # shallow, without the hub
        stage = {"max_iters": 2, "quantize_after": 1, "batch_size_train": 4}
        options += [*SHALLOW, *(f"run.image_tokenizer.{key}={value}" for key, value in stage.items())]
    cfg = load_config(argparse.Namespace(cfg_path=PROJECT / f"{name}.yaml", options=[*options, "run.num_workers=0"]))
    results = run_config(cfg, evaluate=name.endswith("probe"))["val"]
    if name.endswith("probe"):
        assert set(results["attributes"]) == {"category", "fit"}
    elif name.endswith("recognition"):
        assert results["classes"] == 2 and results["images"] == 8
    else:
        assert 0 <= results["description+attributes"]["full"]["mean"] <= 100
    if RECIPES[name] == "fashionfae_pretrain":
        assert {"category", "fit"} <= set(results["aetp"])
