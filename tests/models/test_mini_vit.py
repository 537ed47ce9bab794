import pytest
import torch
from omegaconf import OmegaConf

from fashionfae_lavis.datasets.fashiongen_mini.attributes import sample_products
from fashionfae_lavis.models import FashionFAE, FashionRecognition, mini_vit
from fashionfae_lavis.models.checkpoints import read_checkpoint


def test_values_are_numbered_per_attribute():
    products = sample_products("train", 30)
    values, labels = mini_vit.look_labels(products)
    assert labels.shape == (30, len(values))
    for product, row in zip(products, labels, strict=True):
        named = {name: names[place] for (name, names), place in zip(values.items(), row, strict=True) if place >= 0}
        assert named == {**product.look(), "sub category": product.subcategory}


@pytest.mark.slow
def test_the_encoder_learns_and_models_start_from_it(tmp_path):
    """A hundredth of the real run."""
    path = tmp_path / "vit.safetensors"
    accuracy = mini_vit.main(path, products=150, updates=40)
    assert accuracy["colour"] > 0.25  # of twelve
    assert set(accuracy) >= {"neckline", "sub category"}
    weights = read_checkpoint(path)["model"]
    for model_class in (FashionFAE, FashionRecognition):
        config = OmegaConf.merge(model_class.config_for("mini").model, {"pretrained": str(path)})
        state = model_class.from_config(config).state_dict()
        assert {name for name in state if name.startswith("image_encoder.")} == set(weights)
        assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())
