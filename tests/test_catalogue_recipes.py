"""The recipes for a catalogue and for Fashion-MNIST."""

import argparse
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from prepare.dirty_shop import photograph

from fashionfae_lavis.datasets.builders.cache import CONFIGS
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.processors.images import MEAN, STD
from fashionfae_lavis.train import load_config, run_config

PROJECT = Path(__file__).parents[1] / "projects" / "fashionfae"
RECIPES = {
    "catalogue/pretrain": "fashionfae_pretrain",
    "catalogue/small": "fashionfae_pretrain",
    "catalogue/retrieval": "fashion_retrieval",
    "catalogue/recognition": "fashion_recognition",
    "catalogue/attribute_probe": "attribute_probe",
    "catalogue/search_eval": "product_search",
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
    if name.startswith("catalogue/"):
        assert cfg.run_cfg.test_splits == ["auto"]
    if name == "fashion_mnist/recognition":
        assert cfg.model_cfg.use_text is False and data.label == "sub category"
        assert cfg.run_cfg.test_splits == ["test"]


@pytest.mark.parametrize("name", ["catalogue/retrieval", "catalogue/recognition"])
def test_the_length_follows_from_the_catalogue(name):
    run = load_config(argparse.Namespace(cfg_path=PROJECT / f"{name}.yaml", options=None)).run_cfg
    counted = ("max_iters", "warmup_steps", "iters_per_inner_epoch", "milestones")
    assert run.max_epoch and run.warmup_share and not set(counted) & set(run)


def test_the_images_that_each_model_type_needs_are_in_its_configuration():
    """The comment in configs/datasets/catalogue*.yaml points to them."""
    needed = {kind: FashionFAE.config_for(kind).preprocess.vis_processor.eval for kind in ("mini", "small", "base")}
    for processor in needed.values():
        assert {"image_size", "resize", "mean", "std"} <= set(processor)
    assert (*needed["base"]["mean"], *needed["base"]["std"]) == (*MEAN, *STD)
    for name in ("catalogue", "catalogue_retrieval", "catalogue_recognition"):
        (data,) = OmegaConf.load(CONFIGS / f"{name}.yaml").datasets.values()
        assert data.vis_processor.eval == needed["mini"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A catalogue of sixteen products with `fit`, an attribute that no other dataset has."""
    return shop(tmp_path_factory.mktemp("shop"), validation=0.5)


def shop(folder, **splits):
    """Prepares the catalogue of sixteen products; the column `part` puts all of them into `test`."""
    (folder / "photos").mkdir()
    rows = ["id,title,image,category,fit,part"]
    for i in range(16):
        photograph(i, (50, 60)).save(folder / "photos" / f"{i}.jpg")
        rows.append(f"{i},Shirt number {i},{i}.jpg,{('TOPS', 'PANTS')[i % 2]},{('loose', 'slim')[i // 2 % 2]},test")
    (folder / "shop.csv").write_text("\n".join(rows))
    attributes = {"category": "category", "fit": "fit"}
    prepare_catalogue(folder / "shop.csv", folder / "photos", folder / "out", attributes=attributes, **splits)
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
    results = run_config(cfg, evaluate=name.endswith(("probe", "search_eval")))["val"]
    if name.endswith("probe"):
        assert set(results["attributes"]) == {"category", "fit"}
    elif name.endswith("search_eval"):
        assert results["products"] == 8 and set(results["benchmark"]) == {"text to image", "category to product"}
    elif name.endswith("recognition"):
        assert results["classes"] == 2 and results["images"] == 8
    else:
        assert 0 <= results["description+attributes"]["full"]["mean"] <= 100
    if RECIPES[name] == "fashionfae_pretrain":
        assert {"category", "fit"} <= set(results["aetp"])


@pytest.mark.slow
def test_products_that_are_all_for_evaluation_are_evaluated(root, tmp_path, monkeypatch):
    """Recognition takes its classes from the checkpoint; nothing trains."""
    monkeypatch.chdir(tmp_path)
    public = shop(tmp_path, columns={"split": "part"})

    def run(name, catalogue, *options, evaluate=True):
        path = PROJECT / f"catalogue/{name}.yaml"
        (key,) = load_config(argparse.Namespace(cfg_path=path, options=None)).datasets_cfg
        options = [f"datasets.{key}.root={catalogue}", "run.num_workers=0", f"run.output_dir={name}", *options]
        return run_config(load_config(argparse.Namespace(cfg_path=path, options=options), evaluate), evaluate)

    for name in ("retrieval", "attribute_probe", "search_eval"):
        assert list(run(name, public)) == ["test"]
    with pytest.raises(UserError, match="there are no products to train on; catalogue_retrieval has only test"):
        run("retrieval", public, evaluate=False)

    label = "datasets.catalogue_recognition.label=category"
    short = ("run.max_iters=1", "run.iters_per_inner_epoch=1", "run.batch_size_train=4", label)
    run("recognition", root, *short, evaluate=False)
    (checkpoint,) = tmp_path.glob("recognition/*/checkpoint_last.pth")
    text = (public / "catalogue.jsonl").read_text()
    (public / "catalogue.jsonl").write_text(text.replace('"category": "PANTS"', '"category": "HATS"'))
    results = run("recognition", public, label, f"model.pretrained={checkpoint}")["test"]
    assert results["classes"] == 2 and results["unseen"] == {"HATS": 8} and results["images"] == 16
    assert set(results["per_class"]) == {"PANTS", "TOPS", "HATS"}
