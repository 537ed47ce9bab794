"""The recognition recipes, as far as they can be tested without data."""

import argparse
from pathlib import Path

import pytest
from authors import tiny_of
from omegaconf import OmegaConf

from fashionfae_lavis.models import FashionRecognition
from fashionfae_lavis.runners.optimizers import build_optimizer, build_schedule
from fashionfae_lavis.text.product_text import CLASSES, FIELDS, prompt_names
from fashionfae_lavis.train import load_config

PROJECT = Path(__file__).parents[1] / "projects" / "fashionfae"
RECIPES = {"fashiongen_mini": PROJECT / "recognition.yaml", "fashiongen": PROJECT / "fashiongen" / "recognition.yaml"}


@pytest.mark.parametrize("dataset", RECIPES)
@pytest.mark.parametrize(
    ("option", "label", "use_text"),
    [
        ("run.from_scratch=True", "sub category", True),
        ("datasets.{}.label=category", "category", True),
        ("model.use_text=False", "sub category", False),
    ],
)
def test_one_option_selects_each_variant(dataset, option, label, use_text):
    options = [option.format(dataset)]
    config = load_config(argparse.Namespace(cfg_path=RECIPES[dataset], options=options))
    data = config.datasets_cfg[dataset]
    assert data.label == label and label in CLASSES
    for split in ("train", "eval"):
        assert data.text_processor[split].name == "fashionfae_text"  # from the dataset's own configuration
        shown = prompt_names(FIELDS, data.text_processor[split].mode)
        assert not set(CLASSES) & set(shown) and "title" in shown
    assert FashionRecognition.heads_from_config(config.model_cfg)["use_text"] is use_text
    assert config.run_cfg.get("from_scratch", False) is (option == "run.from_scratch=True")
    assert config.model_cfg.load_pretrained and config.model_cfg.pretrained
    # The classes come from the data.
    assert config.model_cfg.get("num_classes") is None and config.model_cfg.get("classes") is None


@pytest.mark.parametrize(("iteration", "factor"), [(0, 0.25), (939, 0.625), (1878, 1), (19_719, 0.5), (37_560, 0)])
def test_the_schedule_of_the_paper(iteration, factor):
    run = OmegaConf.load(RECIPES["fashiongen"]).run
    optimizer = build_optimizer(tiny_of(FashionRecognition), run)
    schedule = build_schedule(optimizer, run, run.max_iters)
    assert schedule.step(iteration) == pytest.approx(2e-5 * factor, abs=1e-12)
    assert {group["lr"] for group in optimizer.param_groups} == {schedule.step(iteration)}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0, 1e-4}
    assert (run.batch_size_train, run.max_iters, run.warmup_steps) == (32, 37_560, 1_878)
