"""The released recipes at the paper's size and their evaluations, as far as they can be tested without data."""

import argparse
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tiny import tiny_model

from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.objectives.sampling import StepSampler
from fashionfae_lavis.runners.optimizers import build_optimizer, build_schedule
from fashionfae_lavis.tasks import AttributeProbeTask
from fashionfae_lavis.train import load_config

FOLDER = Path(__file__).parents[1] / "projects" / "fashionfae"
RECIPE = OmegaConf.load(FOLDER / "fashiongen" / "pretrain.yaml")
FASHIONIQ = OmegaConf.load(FOLDER / "fashioniq" / "composition.yaml")
RETRIEVAL = OmegaConf.load(FOLDER / "fashiongen" / "retrieval.yaml")


def test_learning_rates_of_the_groups():
    model = tiny_model()
    optimizer = build_optimizer(model, RECIPE.run)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    fast = ("image_encoder.", "fusion_encoder.visual_embeddings.projection.", "itm_head.", "mlm_head.", "apir_head.")
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            expected = 2e-4 if name.startswith((*fast, "promotion.")) else 1e-5
            assert rates[id(parameter)] == pytest.approx(expected), name
            decayed = parameter.ndim > 1 or name.startswith("image_encoder.")
            decayed |= name in ("scale", "promotion.layer_norm.weight")
            assert decays[id(parameter)] == (1e-4 if decayed else 0), name


@pytest.mark.parametrize(
    ("iteration", "factor"),
    [(0, 0.25), (5_000, 0.625), (10_000, 1), (34_999, 1), (35_000, 0.1), (69_999, 0.1), (70_000, 0.01)],
)
def test_the_schedule(iteration, factor):
    optimizer = build_optimizer(tiny_model(), RECIPE.run)
    schedule = build_schedule(optimizer, RECIPE.run, RECIPE.run.max_iters)
    assert schedule.step(iteration) == pytest.approx(1e-5 * factor)
    assert max(group["lr"] for group in optimizer.param_groups) == pytest.approx(2e-4 * factor)


def test_sizes_and_ratios():
    config = OmegaConf.merge(OmegaConf.load(FashionFAE.default_config_path(RECIPE.model.model_type)), RECIPE)
    assert config.model.max_length == 120
    assert (config.run.batch_size_train, config.run.max_iters) == (128, 79_500)
    sampler = StepSampler(OmegaConf.to_container(RECIPE.run.steps), 0)
    assert dict(zip(sampler.steps, sampler.probabilities, strict=True)) == pytest.approx(
        {("itc",): 0.31, ("itm",): 0.23, ("mlm", "aetp"): 0.23, ("apir",): 0.23}
    )
    assert config.model.vit == "google/vit-base-patch16-224-in21k" and config.model.bert == "bert-base-uncased"


@pytest.mark.parametrize(("folder", "products"), [("", 500), ("fashiongen", 2000)])
def test_the_attribute_probe_s_recipes(folder, products):
    cfg = load_config(argparse.Namespace(cfg_path=FOLDER / folder / "attribute_probe.yaml", options=None))
    task = AttributeProbeTask.setup_task(cfg)
    assert (task.products, task.seed) == (products, 42)
    assert cfg.run_cfg.evaluate and cfg.run_cfg.task == "attribute_probe" and cfg.model_cfg.load_pretrained


@pytest.mark.parametrize(
    ("iteration", "factor"),
    [(0, 0.25), (4_695, 0.625), (9_390, 1), (28_169, 1), (28_170, 0.1), (56_339, 0.1), (56_340, 0.01)],
)
def test_fine_tuning_of_retrieval(iteration, factor):
    optimizer = build_optimizer(tiny_model(), RETRIEVAL.run)
    schedule = build_schedule(optimizer, RETRIEVAL.run, RETRIEVAL.run.max_iters)
    assert schedule.step(iteration) == pytest.approx(1e-5 * factor)
    assert {group["lr"] for group in optimizer.param_groups} == {schedule.step(iteration)}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0, 1e-4}
    assert (RETRIEVAL.run.batch_size_train, RETRIEVAL.run.max_iters, RETRIEVAL.model.max_length) == (128, 75_120, 180)


@pytest.mark.parametrize("name", ["retrieval", "retrieval_eval", "fashiongen/retrieval", "fashiongen/retrieval_eval"])
def test_retrieval_configurations_are_known_to_lavis(name):
    config = load_config(argparse.Namespace(cfg_path=FOLDER / f"{name}.yaml", options=None))
    model, (data,) = config.model_cfg, config.datasets_cfg.values()
    assert model.arch == "fashionfae_retrieval" and config.run_cfg.candidates is None
    assert (model.max_length, model.pretrained) == ((180, None) if "/" in name else (120, "mini.safetensors"))
    assert data.text_processor.eval.mode == data.text_processor.train.mode == "description+attributes"
    assert data.text_processor.train.get("shuffle", False) == (name == "fashiongen/retrieval")
    assert not data.text_processor.eval.get("shuffle", False)


@pytest.mark.parametrize(("iteration", "factor"), [(0, 0.25), (1_260, 0.625), (2_520, 1), (22_260, 0.5), (42_000, 0)])
def test_fine_tuning_of_text_guided_retrieval(iteration, factor):
    optimizer = build_optimizer(tiny_model(), FASHIONIQ.run)
    schedule = build_schedule(optimizer, FASHIONIQ.run, FASHIONIQ.run.max_iters)
    assert schedule.step(iteration) == pytest.approx(1e-5 * factor)
    assert {group["lr"] for group in optimizer.param_groups} == {schedule.step(iteration)}
    assert (FASHIONIQ.run.batch_size_train, FASHIONIQ.run.max_iters) == (40, 42_000)


@pytest.mark.parametrize("name", ["composition", "fashioniq/composition"])
def test_composition_configurations_are_known_to_lavis(name):
    config = load_config(argparse.Namespace(cfg_path=FOLDER / f"{name}.yaml", options=None))
    assert (config.model_cfg.arch, config.run_cfg.task) == ("fashionfae_composition", "fashion_composition")
    assert config.model_cfg.pretrained == (None if "/" in name else "mini.safetensors")
    (data,) = config.datasets_cfg.values()
    assert data.text_processor.train.name == data.text_processor.eval.name == "fashionfae_caption"
    assert data.vis_processor.eval.image_size == config.model_cfg.image_size
