import json
import math

import numpy as np
import pytest
import torch
from tiny import tiny_fields, tiny_model
from torch.utils.data import DataLoader
from toy_products import BagOfWords, ToyProducts
from two_processes import run_in_two_processes

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_probe import evaluate_attribute_probe, score_values
from fashionfae_lavis.evaluation.attribute_questions import attribute_values
from fashionfae_lavis.masking.word_masks import mask_value
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.text.word_pieces import Text, text_pieces


def loader(dataset):
    return DataLoader(dataset, batch_size=16, collate_fn=dataset.collater)


def probe(model, dataset, products=500):
    return evaluate_attribute_probe(adapt(model), loader(dataset), products, seed=0)


def test_a_model_that_knows_tells_everything_and_one_value_is_left_out():
    dataset = ToyProducts()
    results = probe(BagOfWords(dataset, knows=True), dataset)
    assert results["left_out"] == {"gender": "it has only one value"}
    assert set(results["attributes"]) == {"category", "sub category", "season", "composition", "colour"}
    for name, row in results["attributes"].items():
        assert row["itc"]["accuracy"] == row["pairs"]["accuracy"] == row["photo_only"]["accuracy"] == 100.0, name
        assert row["linear_probe"]["accuracy"] > 90.0, name
        assert "aetp" not in row and "aetp_prompt_only" not in row
    assert results["agg_metrics"] == 100.0


def test_counts_chance_and_the_most_frequent_value():
    dataset = ToyProducts()
    dataset.unseen_attributes = ("season",)
    results = probe(BagOfWords(dataset, knows=True), dataset)["attributes"]
    for name, values in attribute_values(dataset).items():
        if name in results:
            having = [value for value in values if value]
            row = results[name]
            assert row["products"] == row["itc"]["n"] == len(having)
            assert row["values"] == len(set(having)) and row["chance"] == pytest.approx(100 / len(set(having)))
            assert row["majority"] == pytest.approx(100 * max(map(having.count, having)) / len(having))
            assert row["seen"] == (name != "season")
    assert results["composition"]["products"] == 90 and results["colour"]["products"] == 80
    fewer = probe(BagOfWords(dataset, knows=True), dataset, products=40)["attributes"]
    assert fewer["category"]["products"] == 40 and fewer["category"]["values"] == results["category"]["values"]


def test_hits_of_products_have_the_figures_as_their_means():
    dataset = ToyProducts()
    dataset.unseen_attributes = ("season",)
    result = probe(BagOfWords(dataset, knows=False), dataset)
    seen = {name: row for name, row in result.attributes.items() if row["seen"]}
    hits = result.hits()
    assert set(hits) == {"probe.values", "probe.photo_only", "probe.linear", "probe.pairs"}
    for name, key in (("probe.values", "itc"), ("probe.linear", "linear_probe"), ("probe.pairs", "pairs")):
        assert hits[name].shape == (len(dataset.product_ids), len(seen))
        expected = [row[key]["accuracy"] for row in seen.values()]
        assert 100 * np.nanmean(hits[name], axis=0) == pytest.approx(expected, rel=1e-5)
        asked = np.isfinite(hits[name]).sum(0).tolist()
        assert asked == [row[key]["n"] for row in seen.values()]
    assert np.isfinite(hits["probe.values"])[:, list(seen).index("colour")].sum() == 80


def test_a_blind_model_is_near_chance():
    """Images are noise, so answers are right at chance level, within four standard errors."""
    dataset = ToyProducts(800)
    results = probe(BagOfWords(dataset, knows=False), dataset, products=800)["attributes"]
    for name, row in results.items():
        assert row["photo_only"] == row["itc"]  # nothing else names values
        assert row["linear_probe"]["accuracy"] < row["majority"] + 10, name
        for figures, chance in ((row["itc"], row["chance"]), (row["pairs"], 50.0)):
            error = math.sqrt(chance * (100 - chance) / figures["n"])
            assert abs(figures["accuracy"] - chance) < 4 * error, name


def test_a_model_that_embeds_everything_alike_tells_nothing():
    dataset = ToyProducts(40)
    model = BagOfWords(dataset, knows=True)
    model._embed = lambda words: torch.ones(400) / 20
    for row in probe(model, dataset)["attributes"].values():
        assert row["itc"]["accuracy"] == row["pairs"]["accuracy"] == 0.0


def test_a_text_is_embedded_once_for_all_attributes(monkeypatch):
    class Rewriter:
        def changed_fields(self, product, name, fields, rng):
            return {**fields, "description": f"another {name}"}

    dataset = ToyProducts(40)
    dataset.extra_attributes = {name: dataset.extra_attributes["colour"] for name in ("colour", "trim")}
    dataset.text_rewriter = Rewriter()
    model, texts = BagOfWords(dataset, knows=True), []
    embed = model.extract_features

    def extract_features(samples, mode):
        texts.extend(samples["text_input"] or [])
        return embed(samples, mode)

    monkeypatch.setattr(model, "extract_features", extract_features)
    rows = probe(model, dataset)["attributes"]
    assert rows["colour"]["pairs"]["n"] == rows["trim"]["pairs"]["n"] == 40
    assert len(texts) == len(set(texts)) > 80


def test_a_data_set_without_attributes_is_an_error():
    dataset = ToyProducts(8, change=lambda fields: {"title": fields["title"], "gender": "Women"})
    dataset.extra_attributes = {"colour": [""] * 8}
    with pytest.raises(UserError, match="gender: it has only one value.*colour: no product has it") as caught:
        probe(BagOfWords(dataset, knows=True), dataset)
    assert "\n" not in str(caught.value)


def test_scores_of_words_equal_one_pass_per_product_and_value():
    """Values of 1, 2 and 5 pieces, and one too long for the model's text."""
    model = tiny_model(max_length=40).eval()
    values = ["wool", "100 cotton", "double", "silk blend", "wxyzq", "wool " * 40]
    lengths = [len(text_pieces(model.tokenizer, value)) for value in values]
    assert {1, 2, 5, 40} <= set(lengths)
    fields = [tiny_fields(index) for index in range(5)]
    hidden = [{"cotton"}] * 5
    tokens = torch.randn(5, 17, 32, generator=torch.Generator().manual_seed(0))
    scores = score_values(adapt(model), tokens, fields, hidden, "composition", values)
    for row in range(5):
        for column, value in enumerate(values[:-1]):
            pieces = text_pieces(model.tokenizer, value)
            masked = mask_value(fields[row], model.tokenizer, hidden[row], "composition", len(pieces), 40)
            text = Text(torch.tensor([masked.input_ids]), torch.ones(1, len(masked.input_ids)))
            states = model.fusion_encoder.encode_joint(text, tokens[row : row + 1])[0]
            words = model.fusion_encoder.embeddings.word_embeddings.weight
            logs = []
            for position, piece in zip(np.flatnonzero(np.array(masked.labels) >= 0), pieces, strict=True):
                logs.append(model.mlm_head(states[position], words).softmax(0)[piece].log().item())
            assert scores[row, column].item() == pytest.approx(sum(logs) / len(pieces), abs=1e-4)
    assert torch.isneginf(scores[:, -1]).all()


def test_words_read_off_the_image_are_right_with_and_without_the_text(monkeypatch):
    dataset = ToyProducts()
    model = tiny_model().eval()
    values = attribute_values(dataset)

    def read_image(tokens, text, positions):
        """Predicts the product's value if it has as many pieces as there are positions, else anything."""
        rows = []
        for product, ids, asked in zip(tokens[:, 0, 0], text.input_ids, positions, strict=True):
            start = int(asked.nonzero()[0])
            name = model.tokenizer.decode(ids[:start]).rpartition("the image ")[2].removesuffix(" is")
            pieces = text_pieces(model.tokenizer, values[name][int(product)])
            logits = torch.zeros(int(asked.sum()), len(model.tokenizer))
            if len(pieces) == len(logits):
                logits[torch.arange(len(pieces)), torch.tensor(pieces)] = 20.0
            rows.append(logits)
        return torch.cat(rows), None

    monkeypatch.setattr(model, "predict_words", read_image)
    monkeypatch.setattr(model, "fusion_tokens", lambda images: images[:, :1, 0, :1].expand(-1, 17, 32))
    for name, row in probe(model, dataset)["attributes"].items():
        assert row["aetp"]["accuracy"] == row["aetp_prompt_only"]["accuracy"] == 100.0, name
        assert row["itc"]["accuracy"] < row["photo_only"]["accuracy"] == 100.0, name


def test_the_text_is_shown_in_one_question_and_its_answer_hidden(monkeypatch):
    dataset = ToyProducts(16)
    model = tiny_model().eval()
    seen = []

    def remember(tokens, text, positions):
        seen.extend(
            model.tokenizer.decode(ids[mask.bool()]) for ids, mask in zip(text.input_ids, text.mask, strict=True)
        )
        return torch.zeros(int(positions.sum()), len(model.tokenizer)), None

    monkeypatch.setattr(model, "predict_words", remember)
    row = probe(model, dataset)["attributes"]["composition"]
    assert row["aetp"]["accuracy"] == 0.0  # all answers alike
    asked = [text for text in seen if "the image composition is [MASK]" in text]
    alone = [text for text in asked if text.startswith("[CLS] the image description is [SEP] the image composition is")]
    whole = [text for text in asked if "the image season is" in text]
    assert len(asked) == len(alone) + len(whole) and len(alone) == len(whole) == 2 * 12  # two lengths of values
    assert all("number" in text for text in whole)


def test_a_result_is_a_table_a_picture_and_json(tmp_path):
    dataset = ToyProducts(24)
    result = probe(tiny_model().eval(), dataset)
    assert result.draw(tmp_path) == {"attribute_chart": str(tmp_path / "attribute_probe.png")}
    assert (tmp_path / "attribute_probe.png").stat().st_size > 10_000
    assert json.loads(json.dumps(result.to_json())) == result
    table = result.table()
    assert "Left out: gender, because it has only one value." in table
    assert table.splitlines()[2].split()[0] == "category"


def test_others_do_not_change_an_attribute_s_pairs():
    dataset = ToyProducts(40)
    model = tiny_model().eval()
    before = probe(model, dataset)["attributes"]["season"]
    dataset.extra_attributes = {}
    assert probe(model, dataset)["attributes"]["season"] == before


SHARED = """
import json, sys
import torch.distributed as dist
from tiny import tiny_model
from torch.utils.data import DataLoader
from toy_products import ToyProducts
from fashionfae_lavis.evaluation.attribute_probe import evaluate_attribute_probe
from fashionfae_lavis.models.adapters import adapt
dist.init_process_group("gloo")
dataset = ToyProducts(37)
loader = DataLoader(dataset, batch_size=16, collate_fn=dataset.collater)
for products in (37, 1):
    try:
        results = evaluate_attribute_probe(adapt(tiny_model().eval()), loader, products, seed=0).to_json()
    except Exception as error:
        results = str(error)
    with open(f"{sys.argv[1]}/{products}_{dist.get_rank()}.json", "w") as file:
        json.dump(results, file)
dist.destroy_process_group()
"""


def test_two_processes_find_what_one_finds(tmp_path):
    """Also when the second process has no product."""
    run_in_two_processes(SHARED, tmp_path, tmp_path)
    for products in (37, 1):
        alone = probe(tiny_model().eval(), ToyProducts(37), products)
        for rank in (0, 1):
            assert json.loads((tmp_path / f"{products}_{rank}.json").read_text()) == alone
