import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from authors import tiny_of
from lavis.common.registry import registry
from omegaconf import OmegaConf
from torch.utils.data import DataLoader
from two_processes import run_in_two_processes

from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQEvalDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.fashioniq import prepare
from fashionfae_lavis.models import FashionComposition
from fashionfae_lavis.processors import FashionCaptionProcessor, FashionImageEvalProcessor
from fashionfae_lavis.tasks.composition import FashionCompositionTask


def read(folder):
    """The validation split of tiny images; with 67 requests of each pool, some images are nobody's target."""
    return FashionIQEvalDataset(
        folder, "val", FashionImageEvalProcessor(image_size=32, resize=32), FashionCaptionProcessor()
    )


def load(dataset):
    return DataLoader(dataset, batch_size=16, collate_fn=dataset.collater)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fashioniq")
    prepare(path, train_pool=25, validation_pool=25, image_size=32)
    return path


@pytest.fixture(scope="module")
def evaluated(folder):
    """Task, results and model of one evaluation."""
    model, task = tiny_of(FashionComposition).eval(), FashionCompositionTask()
    return task, task.evaluation(model, load(read(folder))), model


def test_figures_equal_a_plain_computation_with_predict(folder, evaluated):
    """One request at a time, its own class only, through the model's public door."""
    _, results, model = evaluated
    dataset = read(folder)
    images = torch.stack([dataset[i]["image"] for i in range(len(dataset))])
    gallery = model.predict({"target_image": images})["target"]
    hits = {garment: [] for garment in ("dress", "shirt", "toptee")}
    for reference, target, text in zip(dataset.reference, dataset.target, dataset.texts, strict=True):
        query = model.predict({"image": images[reference][None], "text_input": [text]})["query"][0]
        garment = dataset.row_class[target]
        scores = gallery[torch.from_numpy(dataset.row_class == garment)] @ query
        hits[garment].append(int((scores > gallery[target] @ query).sum()))
    for garment, better in hits.items():
        for top in (10, 50):
            found = results["image + text"]["split"][garment][f"r{top}"]
            # within one query: a rank may turn on the last digit
            assert found == pytest.approx(100 * np.mean([b < top for b in better]), abs=100 / len(better) + 1e-6)
    assert results["agg_metrics"] == results["image + text"]["split"]["mean"]["mean"]


def test_baselines_use_one_of_the_two_only(folder, evaluated):
    task, results, model = evaluated
    dataset, queries, gallery = task.evaluated
    images = torch.from_numpy(gallery)
    scores = images[dataset.reference] @ images.T
    for q in (0, 7, 300):
        members = np.flatnonzero(dataset.row_class == dataset.row_class[dataset.target[q]])
        assert scores[q][members].argmax() == np.flatnonzero(members == dataset.reference[q])[0]
    assert results["image alone"] != results["text alone"] != results["image + text"]
    assert results["chance"]["split"]["dress"]["r10"] == pytest.approx(100 * 10 / 75)
    assert results["chance"]["queried"]["dress"]["r10"] >= 100 * 10 / 75


class KnowingModel(torch.nn.Module):
    """Reads the number of an image off its pixels, and a request's difference to it off the text."""

    device = torch.device("cpu")

    def fusion_tokens(self, images):
        return images

    def image_mean(self, images):
        return F.one_hot(images[:, 0, 0, 0].long(), 40).float()

    def text_mean(self, text):
        return 3 * F.one_hot(torch.tensor([int(word) for word in text]), 40).float()

    def tokenize(self, texts):
        return texts


class Numbers(torch.utils.data.Dataset):
    """Forty images of one class; the text of each request is the number of its target."""

    row_class = np.array(["dress"] * 40)
    reference = np.arange(15)
    target = np.arange(15) + 20
    texts = [str(number) for number in np.arange(15) + 20]

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return {"image": torch.full((3, 4, 4), float(index))}


def test_a_model_that_reads_the_text_finds_every_target():
    results = FashionCompositionTask().evaluation(KnowingModel(), DataLoader(Numbers(), batch_size=7))
    assert results["image + text"]["split"]["mean"] == {"r10": 100.0, "r50": 100.0, "mean": 100.0}
    assert results["text alone"]["split"]["mean"]["r10"] == 100.0
    # Forty candidates: fifty are all of them. The image alone leaves 39 that score the same: counted as wrong.
    assert results["image alone"]["split"]["mean"] == {"r10": 0.0, "r50": 100.0, "mean": 50.0}


def test_a_diverged_model_is_an_error():
    class Diverged(KnowingModel):
        def text_mean(self, text):
            return super().text_mean(text) * torch.nan

    with pytest.raises(UserError, match="embeddings are not finite"):
        FashionCompositionTask().evaluation(Diverged(), DataLoader(Numbers(), batch_size=7))


def test_table_and_picture(evaluated, tmp_path):
    task, results, model = evaluated
    results = {**results, **task.report(model, tmp_path)}
    assert (tmp_path / "retrieval.png").stat().st_size > 10_000
    json.dumps(results)
    lines = task.format(results).splitlines()
    assert lines[0].split("  ")[0] == "query, gallery" and "toptee R@50" in lines[0]
    starts = [line.split("  ")[0] for line in lines[2:]]
    kinds = ("image + text", "image alone", "text alone", "chance")
    assert starts == [f"{kind}, {gallery}" for kind in kinds for gallery in ("all images", "queried images")]
    row = lines[2].split()[-3:]
    mean = results["image + text"]["split"]["mean"]
    assert row == [f"{mean['r10']:.2f}", f"{mean['r50']:.2f}", f"{mean['mean']:.2f}"]


def test_training_is_the_models_loss():
    seen = []

    def model(samples):
        seen.append(samples)
        return {"loss": torch.ones(())}

    assert FashionCompositionTask().train_step(model, {"image": 1})["loss"] == 1 and seen == [{"image": 1}]


def test_fine_tuning_needs_a_checkpoint():
    config = OmegaConf.create({"model": {"load_pretrained": False}, "run": {}})
    cfg = type("Config", (), {"model_cfg": config.model, "run_cfg": config.run})()
    with pytest.raises(UserError, match=r"set model.pretrained to one .* or run.from_scratch to True"):
        FashionCompositionTask().build_model(cfg)


def test_registered_with_lavis():
    assert registry.get_task_class("fashion_composition") is FashionCompositionTask


PROGRAM = """
import json, sys
import torch
import torch.distributed as dist
from authors import tiny_of
from fashionfae_lavis.models import FashionComposition
from fashionfae_lavis.tasks.composition import FashionCompositionTask
sys.path.insert(0, sys.argv[3])
from test_composition_task import load, read
torch.set_num_threads(1)
dist.init_process_group("gloo")
results = FashionCompositionTask().evaluation(tiny_of(FashionComposition).eval(), load(read(sys.argv[1])))
with open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w") as file:
    json.dump(results, file)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(folder, evaluated, tmp_path):
    from pathlib import Path

    run_in_two_processes(PROGRAM, tmp_path, folder, tmp_path, Path(__file__).parent)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    one = evaluated[1]
    for query in ("image + text", "image alone", "text alone", "chance"):
        for gallery in ("split", "queried"):
            for garment, figures in one[query][gallery].items():
                # batches are other ones: a rank may turn on the last digit
                assert first[query][gallery][garment] == pytest.approx(figures, abs=0.6), (query, garment)
