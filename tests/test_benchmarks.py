"""benchmarks/step_time.py knows the model types of FashionFAE and measures a step of each model."""

import argparse
import importlib.util
from pathlib import Path

import pytest
from lavis.models.albef_models.albef_pretrain import AlbefPretrain
from lavis.models.blip_models.blip_pretrain import BlipPretrain

from fashionfae_lavis.models import FashionFAE


@pytest.fixture(scope="module")
def step_time():
    path = Path(__file__).parents[1] / "benchmarks" / "step_time.py"
    spec = importlib.util.spec_from_file_location("step_time", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sizes_are_model_types(step_time):
    assert {*FashionFAE.PRETRAINED_MODEL_CONFIG_DICT} - {"mini"} == {*step_time.SIZES} - {"tiny"}
    for size, sizes in {"base": (768, 12, 12), "small": (384, 12, 6), "tiny": (48, 2, 2)}.items():
        config = step_time.model_config(size)
        image, text = config.image_encoder, config.fusion_encoder
        assert (image.width, image.depth, text.num_hidden_layers) == sizes


@pytest.mark.slow
@pytest.mark.parametrize("row", ["itc", "albef_pretrain", "blip_pretrain"])
def test_a_step_is_measured(step_time, monkeypatch, row):
    for model_class in (AlbefPretrain, BlipPretrain):  # the program replaces it for good
        monkeypatch.setattr(model_class, "init_tokenizer", model_class.init_tokenizer)
    monkeypatch.setattr(step_time, "VOCABULARY", 2000)
    args = argparse.Namespace(threads=1, size="tiny", batch=2, steps=1, formats=["fp32"])
    found = step_time.measure(row, args)
    assert found["seconds"] > 0 and found["memory"] > 0
