import json

import numpy as np
import pytest
import torch
from authors import tiny_of
from tiny import tiny_model, tiny_samples
from torch.utils.data import DataLoader
from two_processes import run_in_two_processes

from fashionfae_lavis.datasets.builders.fashiongen import VALIDATION_FILE
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.products import ProductEvalDataset
from fashionfae_lavis.datasets.loaders import evaluation_loader
from fashionfae_lavis.evaluation.candidates_file import candidate_lists, lists_digest
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models import FashionRetrieval
from fashionfae_lavis.processors import FashionImageEvalProcessor, FashionTextProcessor
from fashionfae_lavis.tasks.pretrain import FashionFAEPretrainTask
from fashionfae_lavis.tasks.retrieval import FashionRetrievalTask, embed_texts
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
    task = FashionRetrievalTask({})
    results = task.evaluation(model, loader)
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
    assert results["chance"] == 100 / PRODUCTS
    assert results["agg_metrics"] == results["description+attributes"]["full"]["mean"]
    assert results["sub_test_lists"] == lists_digest(candidate_lists(dataset))


def test_the_lists_in_the_file_are_the_ones_ranked(loader, tmp_path):
    model, path = tiny_model().eval(), tmp_path / "lists.json"
    task = FashionRetrievalTask({"candidates": str(path)})
    results = task.evaluation(model, loader)
    assert results == FashionRetrievalTask({}).evaluation(model, loader) == task.evaluation(model, loader)
    content = json.loads(path.read_text())
    for draw in content["draws"]:  # lists without negatives cannot be answered wrongly
        for direction, kind in (("image_to_text", "products"), ("text_to_image", "images")):
            draw[direction] = [{**line, kind: line[kind][:1]} for line in draw[direction]]
    path.write_text(json.dumps(content))
    for mode in ("description", "description+attributes"):
        sub = task.evaluation(model, loader)[mode]["sub"]
        assert sub["mean"] == 100 and sub["mean_std"] == 0 and sub["short_queries"] == sub["queries"]


RANK = """
import json, sys, torch
import torch.distributed as dist
from test_retrieval_task import evaluate
dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())  # nothing may depend on it
open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w").write(json.dumps(evaluate(*sys.argv[1:])))
dist.destroy_process_group()
"""


def evaluate(path, folder):
    """What the task says of the tiny model, with every part of the evaluation."""
    dataset = open_dataset(path)
    loader = evaluation_loader(dataset, batch_size=8, workers=0, pin=False)
    task = FashionRetrievalTask({"k_test": 3, "candidates": f"{folder}/lists.json"})
    return task.evaluation(tiny_model().eval(), loader)


def test_two_processes_give_the_figures_of_one(dataset, tmp_path):
    assert len(dataset) % 2 and PRODUCTS % 2
    run_in_two_processes(RANK, tmp_path, dataset.vis_root, tmp_path)
    (tmp_path / "lists.json").unlink()  # drawn anew
    alone = evaluate(dataset.vis_root, tmp_path)
    assert alone["description+attributes"]["reranked"]["k_test"] == 3
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == alone


def test_fine_tuning_is_itc_alone_whatever_the_model_has():
    samples = {**tiny_samples(), "iters": 0, "micro_step": 0}
    whole = tiny_model().eval()
    output = FashionRetrievalTask({}).train_step(whole, samples)
    assert set(output) == {"loss", "loss_itc", "acc_itc"}
    retrieval = tiny_of(FashionRetrieval).eval()
    retrieval.load_state_dict({k: v for k, v in whole.state_dict().items() if k in retrieval.state_dict()})
    assert torch.equal(FashionRetrievalTask({}).train_step(retrieval, samples)["loss"], output["loss"])


def test_texts_come_back_in_their_order():
    model = tiny_model().eval()
    texts = [
        "the image description is a red shirt with long sleeves",
        "the image description is a coat",
        "blue",
    ]
    together = embed_texts(model, texts)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(row, embed_texts(model, [text])[0], atol=1e-5)


def test_report_draws_a_sheet_and_measures_what_was_trained(dataset, loader, tmp_path):
    model = tiny_model().eval()
    task = FashionFAEPretrainTask(
        {"steps": [{"objectives": ["itc"], "ratio": 1}, {"objectives": ["aetp"], "ratio": 1}]}
    )
    results = task.evaluation(model, loader)
    results.update(task.report(model, tmp_path))
    assert (tmp_path / "retrieval.png").stat().st_size > 10_000
    assert "aetp" in results and "apir" not in results
    json.dumps(results)
    table = task.format(results)
    assert "description+attributes, full test" in table and "chance, full test" in table
    assert "season" in table and "APIR" not in table


def test_pretraining_step_draws_objectives_and_seeds_by_iteration():
    task = FashionFAEPretrainTask({"seed": 3})
    seen = {}

    def model(samples):
        seen.update(samples)
        return {"loss": torch.zeros(())}

    task.train_step(model, {"iters": 7, "micro_step": 1})
    assert seen["objectives"] == task.sampler.at(7) and seen["mask_seed"] == (3, 0, 7, 1)
