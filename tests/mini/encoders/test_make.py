import pytest
import torch
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.mini.encoders import images, make_mini_encoders, text
from fashionfae_lavis.models import FashionFAE, FashionRecognition


@pytest.mark.slow
def test_the_encoders_learn_and_models_start_from_them(tmp_path, monkeypatch):
    """Runs the training at a hundredth of its length, with a quarter of its batch."""
    for module in (text, images):
        monkeypatch.setattr(module, "BATCH", 16)
    path = tmp_path / "encoders.safetensors"
    accuracy = make_mini_encoders(path, products=90, updates={"text": 100, "images": 80, "alignment": 5})
    assert accuracy["colour"] > 0.25  # of twelve
    assert accuracy["masked words"] > 0.04  # a twentieth is the most frequent word's
    assert set(accuracy) >= {"neckline", "sub category", "matching"}
    weights = read_checkpoint(path)["model"]
    for model_class in (FashionFAE, FashionRecognition):
        config = OmegaConf.merge(model_class.config_for("mini").model, {"pretrained": str(path)})
        state = model_class.from_config(config).state_dict()
        names = {name for name in state if name.startswith(("image_encoder.", "fusion_encoder."))}
        between = {name for name in names if name.startswith("fusion_encoder.visual_embeddings.projection.")}
        assert names - between == set(weights) and len(between) == 2
        assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())
