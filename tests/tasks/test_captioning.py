"""Captioning by a tiny BLIP trained on tiny drawn data."""

import argparse
import json
import shutil

import pytest
from baselines import tiny_baseline, tiny_config
from lavis.models.blip_models.blip_caption import BlipCaption
from lavis.tasks.base_task import BaseTask
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.captions import caption_scores
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.tasks import captioning
from fashionfae_lavis.tasks.captioning import FashionCaptioningTask
from fashionfae_lavis.train import load_config, run_config


@pytest.fixture(autouse=True)
def without_java(monkeypatch):
    """Disables Java to save seconds; the tests of the scores cover it."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


def write_config(folder, data, **run):
    vis = {s: {"name": f"fashionfae_image_{s}", "resize": 32, "image_size": 32} for s in ("train", "eval")}
    text = {s: {"name": "fashionfae_text", "mode": "description"} for s in ("train", "eval")}
    settings = {
        "runner": "fashionfae_runner", "task": "fashion_captioning", "output_dir": str(folder / "output"),
        "device": "cpu", "from_scratch": True, "caption_products": 9, "max_len": 16, "min_len": 8, "num_beams": 2,
        "max_iters": 6, "batch_size_train": 8, "batch_size_eval": 4, "num_workers": 0, "init_lr": 1e-2,
        "lr_sched": "linear_warmup_cosine_iter", "train_splits": ["train"], "valid_splits": [], "test_splits": ["val"],
    }  # fmt: skip
    section = {"build_info": {"images": {"storage": str(data)}}, "vis_processor": vis, "text_processor": text}
    config = {
        "model": OmegaConf.to_container(tiny_config("fashion_blip_caption")),
        "datasets": {"fashiongen": section},
        "run": settings | run,
    }
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    return argparse.Namespace(cfg_path=folder / "config.yaml", options=None)


def test_a_tiny_blip_is_trained_and_its_captions_scored(tmp_path, capsys):
    prepare(tmp_path / "mini", train_products=40, validation_products=20, image_size=64)
    args = write_config(tmp_path, tmp_path / "mini")
    run_config(load_config(args))
    shown = capsys.readouterr().out
    assert "title and description, 9 images" in shown and "METEOR is left out" in shown
    (folder,) = (tmp_path / "output").iterdir()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] > 0
    results = json.loads((folder / "results.json").read_text())["val"]

    # The same pairs, scored directly: captions from their file, descriptions from the data.
    (file,) = (folder / "result").glob("val_epoch*.json")
    captions = {entry["image_id"]: entry["caption"] for entry in json.loads(file.read_text())}
    cfg = load_config(args)
    dataset = FashionCaptioningTask.setup_task(cfg).build_datasets(cfg)["fashiongen"]["val"]
    references = {}
    for image in captions:
        text = dataset[image]["text_input"]
        assert text.startswith("the image description is ")
        references[image] = [text.removeprefix("the image description is ")]
    assert len(captions) == 9 and len(set(dataset.row_product[list(captions)])) == 9
    assert results["scores"] == caption_scores(captions, references)[0]
    assert all(caption and "the image" not in caption for caption in captions.values())
    images = sorted(captions)
    other = {image: captions[before] for image, before in zip(images, [images[-1], *images], strict=False)}
    assert results["other_image"] == caption_scores(other, references)[0]


@pytest.mark.parametrize(("arch", "fine"), [("fashion_blip_caption", True), ("fashion_blip", False)])
def test_a_model_that_writes_nothing_is_refused(arch, fine, monkeypatch):
    model = tiny_baseline(arch)
    assert isinstance(model, BlipCaption) == fine
    monkeypatch.setattr(BaseTask, "build_model", lambda self, cfg: model)
    run = OmegaConf.create({"from_scratch": True})
    cfg = type("Config", (), {"run_cfg": run, "model_cfg": OmegaConf.create({"arch": arch})})
    if fine:
        assert FashionCaptioningTask({}).build_model(cfg) is model
    else:
        with pytest.raises(UserError, match="fashion_blip cannot write captions: set it to fashion_blip_caption"):
            FashionCaptioningTask({}).build_model(cfg)


def test_lavis_s_keys_are_taken_from_the_run(monkeypatch):
    taken = {}
    monkeypatch.setattr(captioning, "evaluate_captions", lambda *_, **settings: taken.update(settings))
    run = OmegaConf.create({"num_beams": 5, "max_len": 9, "caption_products": 7})
    FashionCaptioningTask(run).evaluation(tiny_baseline("fashion_blip_caption"), None)
    assert taken == {"products": 7, "num_beams": 5, "max_length": 9, "min_length": 8}
