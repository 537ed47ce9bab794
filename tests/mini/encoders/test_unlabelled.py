import numpy as np
import pytest
import torch
from PIL import Image

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.mini.encoders import make_unlabelled_encoders, text, unlabelled
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.models import FashionFAE


@pytest.mark.slow
def test_the_encoders_learn_and_a_model_starts_from_them(tmp_path, monkeypatch):
    for module, name in ((text, "BATCH"), (unlabelled, "BATCH"), (unlabelled, "IMAGES")):
        monkeypatch.setattr(module, name, 16)
    for name in ("dress", "shirt"):
        folder = tmp_path / "photographs" / "train" / name
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = np.random.default_rng(number).integers(0, 255, (160, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    path, updates = tmp_path / "encoders.safetensors", {"text": 150, "images": 4}
    accuracy = make_unlabelled_encoders(path, tmp_path / "photographs", products=50, updates=updates)
    assert accuracy["masked words"] > 0.1  # a twentieth is the most frequent word's
    assert {"colour", "neckline", "sub category"} < set(accuracy)
    weights = read_checkpoint(path)["model"]
    config = {**FashionFAE.config_for("mini").model, "pretrained": str(path)}
    state = FashionFAE.from_config(config).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_two_views_of_an_image_become_alike_and_those_of_others_do_not(monkeypatch):
    """Each picture has one colour, which all its views keep."""

    class Patterns:
        size = 112
        pixels = torch.randint(0, 255, (24, 1, 1, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        pixels = pixels.expand(-1, 126, 126, -1)
        train_rows = torch.arange(24)
        mean = std = torch.full((3, 1, 1), 0.5)

        def test_batches(self):
            yield self.pixels[:, 7:119, 7:119].permute(0, 3, 1, 2) / 127.5 - 1, self.train_rows

    losses = []
    loss_of = unlabelled.contrastive_loss

    def remember(one, other):
        losses.append(loss_of(one, other))
        return losses[-1]

    monkeypatch.setattr(unlabelled, "contrastive_loss", remember)
    monkeypatch.setattr(unlabelled, "IMAGES", 24)
    products = sample_products("train", 24)
    labels = torch.arange(24)[:, None] % 2
    monkeypatch.setattr(unlabelled, "look_labels", lambda _: ({"parity": ["even", "odd"]}, labels))
    torch.manual_seed(0)
    encoder = FashionFAE.from_config({**FashionFAE.config_for("mini").model, "load_pretrained": False}).image_encoder
    accuracy = unlabelled.train_image_encoder_on_views(encoder, Patterns(), None, products, updates=40)
    assert set(accuracy) == {"parity"}
    assert float(sum(losses[-5:]) / 5) < 0.8 * float(losses[0])
