from io import BytesIO

import numpy as np
import pytest
import torch
from colour_shop import ColourEncoder
from PIL import Image
from tiny import tiny_model

from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.search.server.heat_map import draw_heat_map, relevance, seen_part


@pytest.mark.parametrize(
    ("size", "part"), [((100, 200), (0, 50, 100, 150)), ((200, 100), (50, 0, 150, 100)), ((90, 90), (0, 0, 90, 90))]
)
def test_the_part_that_the_processing_keeps(size, part):
    assert np.abs(np.subtract(seen_part(ColourEncoder(), size), part)).max() <= 1


def test_the_map_lies_where_the_model_looked():
    image = Image.new("RGB", (100, 200), "black")
    image.paste("white", (0, 50, 50, 100))  # the upper left quarter of the seen part
    values = relevance(ColourEncoder(), image, "white")
    assert values.shape == (200, 100) and values.max() == 1
    assert values[:48].max() == 0 and values[152:].max() == 0
    assert values[55:90, 5:40].mean() > 0.7 > 0.2 > values[110:145, 60:95].mean()


def test_the_picture_is_clear_where_nothing_matches():
    picture = Image.open(BytesIO(draw_heat_map(np.array([[0, 1], [0.5, 0]], np.float32))))
    assert picture.mode == "RGBA" and picture.size == (2, 2)
    assert picture.getpixel((0, 0))[3] == 0
    assert picture.getpixel((1, 0)) == (205, 20, 30, 180)
    assert picture.getpixel((0, 1)) == (250, 190, 40, 90)


def test_grad_cam_of_fashionfae_follows_the_gradient():
    """A patch counts by how much the cosine rises if its state grows, checked by small steps along each channel."""
    model = tiny_model().eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    adapter = adapt(model)
    texts = adapter.embed_texts(["red dress", "blue shirt"])
    found = adapter.locate(images, texts)
    tokens = model.image_encoder(images).detach().double()
    model.double()

    def cosine(tokens):
        return torch.nn.functional.cosine_similarity(model.image_embedding(tokens), texts.double())

    weights = torch.zeros(2, tokens.shape[2], dtype=torch.float64)
    for channel in range(tokens.shape[2]):
        moved = tokens.clone()
        moved[:, 1:, channel] += 1e-5
        weights[:, channel] = (cosine(moved) - cosine(tokens)) / 1e-5 / (tokens.shape[1] - 1)
    slow = (tokens[:, 1:] * weights[:, None]).sum(-1).clamp(min=0)
    torch.testing.assert_close(found.flatten(1).double(), slow, rtol=1e-3, atol=1e-6)
    assert found.shape == (2, model.image_encoder.grid, model.image_encoder.grid)
    assert not any(parameter.grad is not None for parameter in model.parameters())
