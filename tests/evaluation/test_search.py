import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from toy_products import BagOfWords, ToyProducts

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_questions import attribute_values
from fashionfae_lavis.evaluation.search import evaluate_product_search
from fashionfae_lavis.models.adapters import adapt

PAIRS = {"gender, colour", "gender, sub category", "colour, sub category", "colour, category"}


def search(model, dataset, *args):
    loader = DataLoader(dataset, batch_size=16, collate_fn=dataset.collater)
    return evaluate_product_search(adapt(model), loader, *args)


def test_a_model_that_knows_finds_all_that_can_be_found():
    dataset = ToyProducts()
    results = search(BagOfWords(dataset, knows=True), dataset)
    assert set(results["pairs"]) > PAIRS and results["products"] == 120
    for name in PAIRS:  # other attributes share words, such as those of two seasons, which mislead a bag of words
        row = results["pairs"][name]
        assert row["p1"] == 100 and row["p10"] == pytest.approx(row["p10_limit"]), name
    for kind in ("category", "sub category", "colour"):
        row = results["benchmark"][f"{kind} to product"]
        assert row["attribute"] == kind and row["p1"] == row["p10"] == row["mrr"] == row["average"] == 100
    assert results["agg_metrics"] == results["mean"]["p10"] and json.dumps(results.to_json())


def test_queries_and_chance_are_counted():
    dataset = ToyProducts()
    results = search(BagOfWords(dataset, knows=True), dataset)
    values = attribute_values(dataset)
    both = list(zip(values["colour"], values["sub category"], strict=True))
    counts = [both.count(pair) for pair in set(both) if all(pair) and both.count(pair) >= 3]
    row = results["pairs"]["colour, sub category"]
    assert row["queries"] == len(counts)
    assert row["chance"] == pytest.approx(100 * np.mean(counts) / 120)
    assert row["p10_limit"] == pytest.approx(100 * np.mean([min(count, 10) / 10 for count in counts]))
    assert results["mean"]["queries"] == sum(row["queries"] for row in results["pairs"].values())
    assert results["mean"]["p5"] == pytest.approx(np.mean([row["p5"] for row in results["pairs"].values()]))
    text = results["benchmark"]["text to image"]
    assert text["queries"] == 120 and text["chance"] == pytest.approx(100 / 120)
    assert text["average"] == pytest.approx((text["r1"] + text["r10"]) / 2)


def test_products_with_equal_texts_are_equally_right():
    """Two different texts among forty products: guessing one of forty right images would give 2.5 %."""

    def change(fields):
        kind = fields["sub category"] in ("SHIRTS", "TANK TOPS")
        return {**fields, "title": "Top" if kind else "Other", "description": ""}

    dataset = ToyProducts(40, change=change)
    row = search(BagOfWords(dataset, knows=True), dataset)["benchmark"]["text to image"]
    right = [sum(fields["title"] == title for fields in dataset.fields) for title in ("Top", "Other")]
    assert row["queries"] == 2 and row["r1"] <= 100 * np.mean([1 / count for count in right]) + 1e-6


def test_a_blind_model_is_near_chance():
    dataset = ToyProducts(800)
    results = search(BagOfWords(dataset, knows=False), dataset)
    assert results["mean"]["p10"] == pytest.approx(results["mean"]["chance"], abs=4)
    row = results["benchmark"]["text to image"]
    assert row["r1"] == pytest.approx(row["chance"], abs=0.6)


class Fixed(BagOfWords):
    """Embeds images as given, and a text as the first row that its last word names."""

    def __init__(self, dataset, images, texts):
        super().__init__(dataset, knows=False)
        self.images, self.texts = images, texts

    def extract_features(self, samples, mode):
        output = super().extract_features(samples, mode)
        if mode == "image":
            output.image_embeds_proj = self.images[samples["image"][:, 0, 0, 0].long()][:, None]
        else:
            output.text_embeds_proj = torch.stack([self.texts[text.split()[-1]] for text in samples["text_input"]])[
                :, None
            ]
        return output


def test_the_benchmark_adds_a_tenth_of_the_text_and_short_queries_see_the_image_alone():
    """The image of neither product is closer to the query `red`; the text of the red one is."""
    dataset = ToyProducts(2, change=lambda fields: {"title": "", "description": "", "colour": ""})
    dataset.extra_attributes = {}
    dataset.fields = [
        {"title": "first", "description": "", "colour": "blue"},
        {"title": "second", "description": "", "colour": "red"},
    ]
    axes = torch.eye(3)
    texts = {"first": axes[1], "second": axes[0], "red": axes[0], "blue": axes[1]}
    images = torch.nn.functional.normalize(torch.tensor([[0.05, 0, 1], [0, 0.05, 1]]), dim=1)
    row = search(Fixed(dataset, images, texts), dataset)["benchmark"]["colour to product"]
    assert (row["queries"], row["p1"], row["p10"], row["mrr"]) == (2, 100.0, 10.0, 100.0)
    dataset.fields = [{**fields, "title": ""} for fields in dataset.fields]
    row = search(Fixed(dataset, images, texts), dataset)["benchmark"]["colour to product"]
    assert (row["p1"], row["mrr"]) == (0.0, 50.0)


def test_attributes_and_roles_can_be_chosen():
    dataset = ToyProducts()
    model = BagOfWords(dataset, knows=True)
    results = search(model, dataset, ["category", "colour"], {"category": "season"})
    assert set(results["pairs"]) == {"colour, category"}
    assert results["benchmark"]["category to product"]["attribute"] == "season"


def test_pairs_without_a_query_are_listed_and_nothing_to_search_is_an_error():
    dataset = ToyProducts(12, change=lambda fields: {**fields, "season": f"season {fields['title']}"})
    results = search(BagOfWords(dataset, knows=True), dataset)
    assert "season, category" in results["left_out"] and "season, category" not in results["pairs"]
    assert "Left out, because too few products share two values: " in results.table()
    empty = ToyProducts(12, change=lambda fields: {"title": "", "description": ""})
    empty.extra_attributes = {}
    with pytest.raises(UserError, match="product_search needs products with a title"):
        search(BagOfWords(empty, knows=True), empty)
