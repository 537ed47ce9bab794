"""Joint pre-training on datasets in FashionViL's layout: the recipe, and runs of the program on tiny folders."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from fashionvil_layouts import write_layouts
from omegaconf import OmegaConf
from programs import one_line, run, run_and_kill

from fashionfae_lavis.train import load_config

ROOT = Path(__file__).parents[1]
JOINT = ROOT / "projects" / "fashionfae" / "joint" / "pretrain.yaml"
FASHIONGEN = ROOT / "projects" / "fashionfae" / "fashiongen" / "pretrain.yaml"
NAMES = ("fashionvil_fashiongen", "fashionvil_facad", "fashionvil_fashion200k", "fashionvil_polyvore")
COUNTS = {"FashionGen": 16, "BigFACAD": 12, "Fashion200k": 12, "PolyvoreOutfits": 10}


def recipe(*options):
    return load_config(argparse.Namespace(cfg_path=JOINT, options=list(options) or None))


def test_the_recipe_differs_from_fashiongen_s_only_in_its_data():
    joint, single = (OmegaConf.to_container(OmegaConf.load(path)) for path in (JOINT, FASHIONGEN))
    assert tuple(joint["datasets"]) == tuple(joint["run"].pop("train_dataset_ratios")) == NAMES
    assert joint["run"].pop("test_splits") == ["fashionvil_fashiongen.val"] and single["run"].pop("test_splits")
    assert joint["run"].pop("output_dir") != single["run"].pop("output_dir")
    assert joint["run"] == single["run"] and joint["model"] == single["model"]


def test_one_option_sets_the_folder_of_all_four():
    cfg = recipe("datasets.fashionvil_fashiongen.build_info.images.storage=/data")
    assert tuple(cfg.datasets_cfg) == NAMES
    for data in cfg.datasets_cfg.values():
        assert data.build_info.images.storage == "/data"
        assert data.vis_processor.train.image_size == data.vis_processor.eval.image_size == 224
        assert data.text_processor.train.mode == "description+attributes" and not data.allow_missing


@pytest.fixture
def tiny(tmp_path):
    """The recipe with tiny datasets and the tests' tiny model, in the working directory."""
    write_layouts(tmp_path / "data", COUNTS)
    config = OmegaConf.load(JOINT)
    config.model = OmegaConf.load(Path(__file__).with_name("tiny.yaml")).model
    config.datasets.fashionvil_fashiongen.build_info.images.storage = str(tmp_path / "data")
    for data in config.datasets.values():
        data.vis_processor = {s: {"resize": 32, "image_size": 32} for s in ("train", "eval")}
    config.run.update(
        output_dir="output",
        device="cpu",
        amp=False,
        max_iters=12,
        iters_per_inner_epoch=4,
        batch_size_train=4,
        batch_size_eval=8,
        num_workers=0,
        log_freq=1,
        warmup_steps=2,
        init_lr=1e-4,
        image_tokenizer={"max_iters": 6},
    )
    OmegaConf.save(config, tmp_path / "config.yaml")
    return tmp_path


@pytest.mark.slow
def test_four_layouts_train_jointly_and_resume_bit_for_bit(tiny):
    whole = run(tiny, "run.output_dir=whole")
    assert whole.returncode == 0, whole.stderr
    assert "fashionvil_fashiongen.val" in whole.stdout and "description+attributes, full test" in whole.stdout
    (folder,) = (tiny / "whole").iterdir()
    results = json.loads((folder / "results.json").read_text())
    assert {"category", "composition"} <= set(results["fashionvil_fashiongen.val"]["aetp"])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"loss_itc", "loss_itm", "loss_aetp", "loss_apir"} <= {name for line in lines for name in line}

    killed = run_and_kill(tiny, "killed", after=6)  # in the second stage, after its first checkpoint
    interrupted = torch.load(killed / "checkpoint_last.pth", weights_only=True)
    assert interrupted["iters"] < 12
    assert interrupted["data_order"]["run.train_dataset_ratios"] == dict(zip(NAMES, (2.0, 1.0, 1.0, 1.0), strict=True))
    resumed = run(tiny, "run.output_dir=killed", "run.resume_ckpt_path=auto")
    assert resumed.returncode == 0, resumed.stderr
    a, b = (torch.load(f / "checkpoint_last.pth", weights_only=True)["model"] for f in (folder, killed))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "run.test_splits=[val]",
            "no split 'val' that can be indexed; the datasets have train, fashionvil_fashiongen",
        ),
        ("run.train_dataset_ratios.fashionvil_facad=0", "run.train_dataset_ratios.fashionvil_facad is 0, but must be"),
        (
            "run.batch_size_train=11",
            "`datasets.fashionvil_polyvore`: run.batch_size_train: 11 on 1 process(es) exceeds",
        ),
        (
            "datasets.fashionvil_facad.build_info.images.storage=/nowhere",
            "/nowhere/BigFACAD/train_info.json is missing",
        ),
    ],
)
def test_mistakes_are_one_sentence(tiny, option, message):
    options = ["run.image_tokenizer=null", "run.max_iters=1", option]
    assert message in one_line(run(tiny, *options))
