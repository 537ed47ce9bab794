import json

import numpy as np
import pytest
import torch
from tiny import tiny_model
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.builders.fashiongen import VALIDATION_FILE
from fashionfae_lavis.datasets.datasets.fashiongen import FashionGenEvalDataset
from fashionfae_lavis.datasets.fashiongen_mini import prepare
from fashionfae_lavis.masking.product_text import fashion_text
from fashionfae_lavis.processors import FashionImageEvalProcessor, FashionTextProcessor
from fashionfae_lavis.tasks.pretrain import FashionFAEPretrainTask
from fashionfae_lavis.tasks.retrieval import FashionRetrievalTask, embed_texts


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    prepare(folder, train_products=10, validation_products=20, image_size=64)
    return FashionGenEvalDataset(
        folder / VALIDATION_FILE, FashionImageEvalProcessor(image_size=32, resize=32), FashionTextProcessor()
    )


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
        texts = [fashion_text(dataset.product_fields(i), mode) for i in range(20)]
        texts = torch.cat(
            [model.extract_features({"text_input": [t]}, mode="text").text_embeds_proj[:, 0] for t in texts]
        )
        scores = images @ texts.T
        best_text = scores.argmax(1).numpy()
        best_image = scores.argmax(0).numpy()
        full = results[mode]["full"]
        assert full["i2t_r1"] == pytest.approx(100 * np.mean(best_text == dataset.row_product))
        assert full["t2i_r1"] == pytest.approx(100 * np.mean(dataset.row_product[best_image] == np.arange(20)))
    assert results["chance"] == 5.0
    assert results["agg_metrics"] == results["description+attributes"]["full"]["mean"]


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
