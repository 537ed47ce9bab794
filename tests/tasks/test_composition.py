import pytest
import torch
from lavis.common.registry import registry
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.tasks.composition import FashionCompositionTask


def test_training_is_the_models_loss():
    seen = []

    def model(samples):
        seen.append(samples)
        return {"loss": torch.ones(())}

    assert FashionCompositionTask({}).train_step(model, {"image": 1})["loss"] == 1 and seen == [{"image": 1}]


def test_fine_tuning_needs_a_checkpoint():
    config = OmegaConf.create({"model": {"load_pretrained": False}, "run": {}})
    cfg = type("Config", (), {"model_cfg": config.model, "run_cfg": config.run})()
    with pytest.raises(UserError, match=r"set model.pretrained to one .* or run.from_scratch to True"):
        FashionCompositionTask({}).build_model(cfg)


def test_registered_with_lavis():
    assert registry.get_task_class("fashion_composition") is FashionCompositionTask


def test_a_model_that_composes_nothing_is_refused():
    with pytest.raises(UserError, match="fashion_clip does not combine an image and a text into a query"):
        FashionCompositionTask({}).check_model(Adapter(None), "fashion_clip")
