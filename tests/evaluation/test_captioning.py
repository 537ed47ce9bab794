"""FashionFAE's completion of attributes, and how captions are scored."""

import shutil

import numpy as np
import pytest
import torch
from tiny import tiny_model
from torch.utils.data import DataLoader
from toy_products import ToyProducts

from fashionfae_lavis.evaluation.attribute_probe import score_values
from fashionfae_lavis.evaluation.captioning import complete_attributes, evaluate_captions
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.text.product_text import field_words

VALUES = {"category": ["dresses", "skirts", "tops"], "season": ["fall winter 2016", "spring summer 2017"]}


@pytest.fixture(autouse=True)
def without_java(monkeypatch):
    """Disables Java to save seconds; the tests of the scores cover it."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


def test_completion_takes_the_likeliest_value_seen_in_the_image_alone():
    model = tiny_model().eval()
    adapter = adapt(model)
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = complete_attributes(adapter, images, VALUES)
    with torch.no_grad():
        tokens = model.fusion_tokens(images)
        for name, values in VALUES.items():
            for row in range(5):
                scores = score_values(adapter, tokens[row : row + 1], [{}], [set()], name, values)
                assert found[name][row] == values[scores.argmax()]


def test_completions_are_scored_against_the_product_s_own_values(monkeypatch):
    products = ToyProducts(12)

    def oracle(adapter, images, values):
        """Returns the products' values, or the first known value if a product has none."""
        own = [int(image[0, 0, 0]) for image in images]
        fields = [products.fields[product] for product in own]
        spelled = {name: [_spelled(f[name], name) or known[0] for f in fields] for name, known in values.items()}
        return spelled

    monkeypatch.setattr("fashionfae_lavis.evaluation.captioning.complete_attributes", oracle)
    loader = DataLoader(products, 3, collate_fn=products.collater)
    result = evaluate_captions(adapt(tiny_model().eval()), loader, products=8)
    rows = np.unique(products.row_product, return_index=True)[1][np.linspace(0, 11, 8).astype(int)]
    assert list(result.captions) == rows.tolist() == list(result.references)
    assert result.captions == result.references
    assert any("composition" not in text for text in result.references.values())  # some products have none
    assert result["text"] == "attributes" and result["images"] == 8
    assert result["scores"]["Bleu_4"] == pytest.approx(1, abs=1e-6)
    assert result["agg_metrics"] == result["scores"]["CIDEr"] + result["scores"]["Bleu_4"]
    assert result["other_image"]["Bleu_4"] < 1


def _spelled(value, name):
    return " ".join(field_words({name: value}, name))
