import json

import h5py
import numpy as np
import pytest
import torch
from authors import tiny_of
from recognition_data import CATEGORIES, build, draw, loader_of
from two_processes import run_in_two_processes

from fashionfae_lavis.datasets.builders.fashiongen import VALIDATION_FILE
from fashionfae_lavis.evaluation.recognition import evaluate_recognition
from fashionfae_lavis.metrics.recognition import confusion_matrix, macro_f1
from fashionfae_lavis.models import FashionRecognition


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("mini"))


@pytest.fixture
def strangers(tmp_path):
    """The same dataset, but some validation products have two categories that the training split lacks."""
    folder = draw(tmp_path / "strangers")
    with h5py.File(folder / VALIDATION_FILE, "r+") as file:
        column = file["input_category"][:].astype("S20")
        ids = file["input_productID"][:].ravel()
        column[ids == ids[0]], column[ids == ids[-1]] = b"HATS", b"GLOVES"
        del file["input_category"]
        file["input_category"] = column
    return folder


def test_figures_equal_a_plain_computation(folder):
    dataset = build(folder)["val"]
    model = tiny_of(FashionRecognition, num_classes=6).eval()
    results = evaluate_recognition(model, loader_of(dataset))
    truth, predicted = [], []
    for i in range(len(dataset)):
        item = dataset[i]
        predicted.append(model.predict(dataset.collater([item]))["predictions"].argmax().item())
        truth.append(CATEGORIES.index(item["fields"]["category"]))
    assert results["images"] == len(dataset) > 40  # each image is an example
    assert results["classes"] == 6 and results["unseen"] == {}
    assert results["accuracy"] == results["agg_metrics"] == pytest.approx(100 * np.mean(np.equal(truth, predicted)))
    assert results["macro_f1"] == pytest.approx(macro_f1(confusion_matrix(truth, predicted, 6)))
    assert results["chance"]["accuracy"] == pytest.approx(100 * np.bincount(truth).max() / len(truth))


def test_classes_that_no_product_is_trained_on_count_as_errors_and_are_reported(strangers):
    dataset = build(strangers)["val"]
    assert dataset.classnames == CATEGORIES and dataset.unseen == ["GLOVES", "HATS"]

    class Oracle:
        device = "cpu"

        def predict(self, samples):
            """Predicts the right class whenever the training split has it."""
            logits = torch.nn.functional.one_hot(samples["label"] % 6, 6).float()
            return {"predictions": logits, "targets": samples["label"]}

    results = evaluate_recognition(Oracle(), loader_of(dataset))
    missed = sum(results["unseen"].values())
    assert set(results["unseen"]) == {"GLOVES", "HATS"} and min(results["unseen"].values()) > 0
    assert results["accuracy"] == pytest.approx(100 * (1 - missed / len(dataset)))
    assert results["classes"] == 6
    assert results.per_class["HATS"]["recall"] == 0
    assert "training split lacks their classes: images of GLOVES" in results.table()


TWO = """
import json
import sys
import torch
import torch.distributed as dist
from authors import tiny_of
from recognition_data import build, loader_of
from fashionfae_lavis.evaluation.recognition import evaluate_recognition
from fashionfae_lavis.models import FashionRecognition
dist.init_process_group("gloo")
dataset = build(sys.argv[1])["val"]
model = tiny_of(FashionRecognition, num_classes=6).eval()
results = evaluate_recognition(model, loader_of(dataset)).to_json()
print(json.dumps(results), file=open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w"))
dist.destroy_process_group()
"""


def test_two_processes_give_the_figures_of_one(folder, tmp_path):
    dataset = build(folder)["val"]
    assert len(dataset) % 2 == 1 or len(dataset) % 7  # shares of unequal size, or a last batch that is not full
    expected = evaluate_recognition(tiny_of(FashionRecognition, num_classes=6).eval(), loader_of(dataset))
    run_in_two_processes(TWO, tmp_path, folder, tmp_path)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected
