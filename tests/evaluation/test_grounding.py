import numpy as np
import pytest
import torch
from tiny import tiny_fields, tiny_model

from fashionfae_lavis.evaluation import grounding


class Products:
    """Six products with two images each; the images of product i have the value i."""

    product_ids = np.arange(6)
    row_product = np.repeat(np.arange(6), 2)[::-1].copy()
    attribute_words = {
        "colour": ("red", "blue", "green", "black", "white", "yellow"),
        "garment": ("tops", "shirts", "shirt", "dresses", "dress", "skirts", "skirt", "pants", "trousers"),
    }

    def __getitem__(self, row):
        return {"image": torch.full((3, 32, 32), float(self.row_product[row]))}

    def product_fields(self, product):
        return tiny_fields(product)


def test_each_product_comes_once_with_its_own_image():
    ((images, products),) = grounding.product_batches(Products())
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert [p["title"] for p in products] == [tiny_fields(i)["title"] for i in range(6)]
    (batch,) = grounding.product_batches(Products(), limit=3)
    assert batch[0][:, 0, 0, 0].tolist() == [0, 2, 5]


def test_a_model_that_reads_the_image_wins_with_the_right_one_only(monkeypatch):
    model = tiny_model().eval()
    colours = [model.tokenizer.convert_tokens_to_ids(tiny_fields(i)["title"].split()[1]) for i in range(6)]

    def read_image(tokens, text, positions):
        rows = positions.nonzero()[:, 0]
        logits = torch.zeros(len(rows), len(model.tokenizer))
        logits[torch.arange(len(rows)), torch.tensor([colours[int(tokens[r, 0, 0])] for r in rows])] = 1.0
        return logits, None

    monkeypatch.setattr(model, "predict_words", read_image)
    monkeypatch.setattr(model.image_encoder, "forward", lambda images: images[:, :1, 0, :1].expand(-1, 65, 32))
    result = grounding.aetp_grounding(model, Products())
    assert result["colour"] == {"right": 100.0, "shuffled": 0.0, "places": 6}
    assert result["gender"]["right"] == result["gender"]["shuffled"] == 0.0
    assert {"category", "sub category", "season", "composition"} <= set(result)


def test_a_gap_in_a_title_is_filled_from_the_words_of_its_attribute(monkeypatch):
    """Predicts a word that is no colour as most likely, followed by the right colour."""
    model = tiny_model().eval()
    cotton = model.tokenizer.convert_tokens_to_ids("cotton")

    def prefer_cotton(tokens, text, positions):
        logits = torch.zeros(int(positions.sum()), len(model.tokenizer))
        logits[:, cotton] = 2.0
        logits[:, model.tokenizer.convert_tokens_to_ids("red")] = 1.0
        return logits, None

    monkeypatch.setattr(model, "predict_words", prefer_cotton)
    result = grounding.aetp_grounding(model, Products())
    assert result["colour"]["right"] == pytest.approx(100 / 6)  # one of the six is red
    assert result["composition"]["right"] == 50.0  # "100% cotton" has a separate prompt, answered from all words


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("category", ("shirts", "shirt")), ("sub category", ("tops", "shirt")), ("colour", ("red",)), ("gender", ())],
)
def test_the_text_does_not_give_the_answer_away(name, hidden):
    model = tiny_model()
    masked = grounding._question(tiny_fields(0), name, Products.attribute_words, model)
    text = model.tokenizer.decode(masked.input_ids).split()
    assert not set(hidden) & set(text)
    asked = [label for label in masked.labels if label >= 0]
    expected = {"category": "tops", "sub category": "shirts", "colour": "red", "gender": "men"}[name]
    assert model.tokenizer.convert_ids_to_tokens(asked) == [expected]


def test_apir_grounding_counts_the_most_frequent_code_at_the_masked_places():
    model = tiny_model().eval()
    result = grounding.apir_grounding(model, Products())
    assert result["places"] == 6 * 8
    assert 0 <= result["right"] <= 100 and 100 / 16 <= result["most_frequent_code"] <= 100


def test_a_model_that_always_says_the_most_frequent_code_scores_its_share(monkeypatch):
    model = tiny_model().eval()
    monkeypatch.setattr(
        model.image_tokenizer, "encode", lambda images: torch.tensor([[3] * 12 + [5] * 4] * len(images))
    )
    bias = torch.zeros(16)
    bias[3] = 100.0
    model.apir_head[1].bias.data = bias
    result = grounding.apir_grounding(model, Products())
    assert result["right"] == result["shuffled_text"] == result["most_frequent_code"] > 50
