import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_model
from torch.utils.data import DataLoader
from toy_products import BagOfWords, ToyProducts
from two_processes import run_in_two_processes

from fashionfae_lavis.datasets.builders.fashiongen import VALIDATION_FILE
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.products import ProductEvalDataset
from fashionfae_lavis.datasets.loaders import evaluation_loader
from fashionfae_lavis.evaluation.candidates_file import candidate_lists, lists_digest
from fashionfae_lavis.evaluation.retrieval import WHOLE, evaluate_retrieval
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors import FashionImageEvalProcessor, FashionTextProcessor
from fashionfae_lavis.text.product_text import fashion_text

PRODUCTS = 21


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    prepare(folder, train_products=10, validation_products=PRODUCTS, image_size=64)
    return open_dataset(folder / VALIDATION_FILE)


def open_dataset(path):
    processors = FashionImageEvalProcessor(image_size=32, resize=32), FashionTextProcessor()
    return ProductEvalDataset(FashionGenFile(path), *processors)


@pytest.fixture
def loader(dataset):
    return DataLoader(dataset, batch_size=8, collate_fn=dataset.collater)


def test_recalls_equal_a_plain_computation(dataset, loader):
    model = tiny_model().eval()
    results = evaluate_retrieval(adapt(model), loader)
    images = torch.stack([dataset[i]["image"] for i in range(len(dataset))])
    images = model.extract_features({"image": images}, mode="image").image_embeds_proj[:, 0]
    for mode in ("description", "description+attributes"):
        texts = [fashion_text(dataset.product_fields(i), mode) for i in range(PRODUCTS)]
        texts = torch.cat(
            [model.extract_features({"text_input": [t]}, mode="text").text_embeds_proj[:, 0] for t in texts]
        )
        scores = images @ texts.T
        best_text = scores.argmax(1).numpy()
        best_image = scores.argmax(0).numpy()
        full = results[mode]["full"]
        assert full["i2t_r1"] == pytest.approx(100 * np.mean(best_text == dataset.row_product))
        assert full["t2i_r1"] == pytest.approx(100 * np.mean(dataset.row_product[best_image] == np.arange(PRODUCTS)))
        shares = results.hits()[f"retrieval.{mode}.full.mean"]
        assert shares.shape == (PRODUCTS, 6) and 100 * shares.mean() == pytest.approx(full["mean"], rel=1e-5)
        own = [dataset.row_product[best_image[product]] == product for product in range(PRODUCTS)]
        assert shares[:, 3].tolist() == own
    assert results["chance"] == 100 / PRODUCTS
    assert results["agg_metrics"] == results["description+attributes"]["full"]["mean"]
    assert results["sub_test_lists"] == lists_digest(candidate_lists(dataset))


def test_the_lists_in_the_file_are_the_ones_ranked(loader, tmp_path):
    adapter, path = adapt(tiny_model().eval()), tmp_path / "lists.json"
    results = evaluate_retrieval(adapter, loader, path)
    assert results == evaluate_retrieval(adapter, loader) == evaluate_retrieval(adapter, loader, path)
    content = json.loads(path.read_text())
    for draw in content["draws"]:  # lists without negatives cannot be answered wrongly
        for direction, kind in (("image_to_text", "products"), ("text_to_image", "images")):
            draw[direction] = [{**line, kind: line[kind][:1]} for line in draw[direction]]
    path.write_text(json.dumps(content))
    for mode in ("description", "description+attributes"):
        sub = evaluate_retrieval(adapter, loader, path)[mode]["sub"]
        assert sub["mean"] == 100 and sub["mean_std"] == 0 and sub["short_queries"] == sub["queries"]


RANK = """
import json, sys, torch
import torch.distributed as dist
sys.path.insert(0, sys.argv[3])
from test_retrieval import evaluate
dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())  # nothing may depend on it
open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w").write(json.dumps(evaluate(*sys.argv[1:3]).to_json()))
dist.destroy_process_group()
"""


def evaluate(path, folder):
    """The result of the tiny model, with every part of the evaluation."""
    dataset = open_dataset(path)
    loader = evaluation_loader(dataset, batch_size=8, workers=0, pin=False)
    return evaluate_retrieval(adapt(tiny_model().eval()), loader, f"{folder}/lists.json", k_test=3)


def test_two_processes_give_the_figures_of_one(dataset, tmp_path):
    assert len(dataset) % 2 and PRODUCTS % 2
    run_in_two_processes(RANK, tmp_path, dataset.vis_root, tmp_path, Path(__file__).parent)
    (tmp_path / "lists.json").unlink()  # so that they are drawn
    alone = evaluate(dataset.vis_root, tmp_path)
    assert alone["description+attributes"]["reranked"]["k_test"] == 3
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == alone


def test_a_result_draws_a_sheet_and_prints_what_was_measured(loader, tmp_path):
    result = evaluate_retrieval(adapt(tiny_model().eval()), loader)
    assert result.draw(tmp_path) == {"retrieval_sheet": str(tmp_path / "retrieval.png")}
    assert (tmp_path / "retrieval.png").stat().st_size > 10_000
    json.dumps(result.to_json())
    table = result.table()
    assert "description+attributes, full test" in table and "chance, full test" in table and "AETP" not in table


def test_products_with_equal_texts_are_counted_and_judged_by_their_text():
    """A model that finds the right text for each image, in a shop where a third of the products share one."""

    def sell_plain_shirts(fields):
        number = int(fields["title"].rsplit(" ", 1)[1])
        plain = {"title": "Plain shirt", "category": "TOPS", "sub category": "SHIRTS", "season": "", "composition": ""}
        return {**fields, **(plain if number % 3 == 0 else {})}

    split = ToyProducts(30, change=sell_plain_shirts)
    split.value_words = lambda product: fashion_text(split.product_fields(product), WHOLE).split()
    loader = DataLoader(split, 8, collate_fn=split.collater)
    result = evaluate_retrieval(adapt(BagOfWords(split, knows=True)), loader)
    figures = result.to_json()["equal_texts"][WHOLE]
    assert (figures["products"], figures["shared_products"]) == (30, 10)
    # Ten equal texts stand before the own one, because ties count against the model.
    strict = result[WHOLE]
    assert strict["full"]["i2t_r1"] == pytest.approx(100 * 20 / 30) == strict["full"]["t2i_r1"]
    assert figures["full"]["mean"] == figures["sub"]["mean"] == 100 > strict["sub"]["mean"]
    json.dumps(result.to_json())
    table = result.table()
    assert "description+attributes, equal texts, full test" in table and "description+attributes, full test" in table
    assert "share their text with another product: 10 of 30 (description), 10 of 30 (description+attributes)." in table


def test_without_equal_texts_both_figures_agree_and_the_table_has_no_further_rows(loader):
    result = evaluate_retrieval(adapt(tiny_model().eval()), loader)
    for mode in ("description", WHOLE):
        equal = result["equal_texts"][mode]
        assert equal["shared_products"] == 0 and equal["products"] == PRODUCTS
        assert (equal["full"], equal["sub"]) == (result[mode]["full"], result[mode]["sub"])
    assert "equal texts" not in result.table() and "0 of 21 (description)" in result.table()
