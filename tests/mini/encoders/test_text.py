import numpy as np
import pytest
import torch

from fashionfae_lavis.mini.encoders import text
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.models import FashionFAE


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FashionFAE.from_config({**FashionFAE.config_for("mini").model, "load_pretrained": False})


@pytest.fixture
def pairs(model):
    return text.Pairs(sample_products("train", 40), model.tokenizer)


def test_the_second_text_names_every_attribute_that_has_words(model):
    product = next(p for p in sample_products("train", 40) if p.subcategory == "SKIRTS")
    look = {"colour": "red", "shape": "pleated", "closure": "none"}
    pieces = text.visible_pieces(product.subcategory, look, model.tokenizer, np.random.default_rng(0))
    assert len(pieces) == text.PIECES
    words = model.tokenizer.decode(pieces).split()
    assert {"red", "crimson"} & set(words)
    assert {"pleated"} <= set(words)
    assert "skirt" in words
    assert len(set(words)) < len(words)  # repeated


def test_another_product_looks_different(pairs):
    product = pairs.products[0]
    changed = [pairs.another(product) for _ in range(200)]
    alike = sum(other.subcategory == product.subcategory for other in changed) / 200
    assert 0.5 < alike < 0.8  # 60 % changed, and a tenth of the others
    assert sum((o.subcategory, o.visible) != (product.subcategory, product.visible) for o in changed) > 150


def test_half_of_the_pairs_match_and_every_masked_word_is_asked(model, pairs):
    with torch.no_grad():
        logits, match = text.matches(model, pairs)
        assert logits.shape == (text.BATCH, 2)
        assert 0.3 < match.float().mean() < 0.75
        logits, words = text.masked_words(model, pairs)
    assert logits.shape == (len(words), len(model.tokenizer))
    assert len(words) > 4 * text.BATCH
    assert (words >= 0).all()
