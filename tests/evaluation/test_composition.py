import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from authors import tiny_of
from torch.utils.data import DataLoader
from two_processes import run_in_two_processes

from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQEvalDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.composition import evaluate_composition
from fashionfae_lavis.mini.fashioniq import prepare
from fashionfae_lavis.models import FashionComposition
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.processors import FashionCaptionProcessor, FashionImageEvalProcessor


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
def model():
    return tiny_of(FashionComposition).eval()


@pytest.fixture(scope="module")
def evaluated(folder, model):
    """The result of one evaluation."""
    return evaluate_composition(adapt(model), load(read(folder)))


# Twice the margin within which the metric treats scores as equal, which exceeds the rounding between batch sizes.
NEAR = 2e-6


def test_figures_equal_a_plain_computation_with_predict(folder, model, evaluated):
    """Evaluates one query at a time among the images of its class, through the model's public methods.

    Images that score within NEAR of the target may rank before or after it: the recall lies between the two extremes.
    """
    dataset = read(folder)
    images = torch.stack([dataset[i]["image"] for i in range(len(dataset))])
    gallery = model.predict({"target_image": images})["target"].double().numpy()
    better, near = np.zeros((2, len(dataset.texts)), dtype=int)
    for i, (reference, target) in enumerate(zip(dataset.reference, dataset.target, strict=True)):
        samples = {"image": images[reference][None], "text_input": [dataset.texts[i]]}
        scores = gallery @ model.predict(samples)["query"][0].double().numpy()
        others = (dataset.row_class == dataset.row_class[target]) & (np.arange(len(gallery)) != target)
        gaps = scores[others] - scores[target]
        better[i], near[i] = (gaps > NEAR).sum(), (abs(gaps) <= NEAR).sum()
    assert near.sum() < 0.01 * len(near)  # so that the extremes are close
    for garment in ("dress", "shirt", "toptee"):
        asked = dataset.row_class[dataset.target] == garment
        for top in (10, 50):
            worst, best = (100 * np.mean(rank[asked] < top) for rank in (better + near, better))
            found = evaluated["image + text"]["split"][garment][f"r{top}"]
            assert worst - 1e-9 <= found <= best + 1e-9
    assert evaluated["agg_metrics"] == evaluated["image + text"]["split"]["mean"]["mean"]


def test_baselines_use_one_of_the_two_only(folder, evaluated):
    dataset = evaluated.split
    images = torch.from_numpy(evaluated.gallery)
    scores = images[dataset.reference] @ images.T
    for q in (0, 7, 300):
        members = np.flatnonzero(dataset.row_class == dataset.row_class[dataset.target[q]])
        assert scores[q][members].argmax() == np.flatnonzero(members == dataset.reference[q])[0]
    assert evaluated["image alone"] != evaluated["text alone"] != evaluated["image + text"]
    assert evaluated["chance"]["split"]["dress"]["r10"] == pytest.approx(100 * 10 / 75)
    assert evaluated["chance"]["queried"]["dress"]["r10"] >= 100 * 10 / 75


class Knowing(Adapter):
    """Reads the number of an image from its pixels, and the number of its target from the text."""

    def image_part(self, images):
        return F.one_hot(images[:, 0, 0, 0].long(), 40).float()

    def text_part(self, texts):
        return 3 * F.one_hot(torch.tensor([int(word) for word in texts]), 40).float()


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
    results = evaluate_composition(Knowing(None), DataLoader(Numbers(), batch_size=7))
    assert results["image + text"]["split"]["mean"] == {"r10": 100.0, "r50": 100.0, "mean": 100.0}
    assert results["text alone"]["split"]["mean"]["r10"] == 100.0
    # Forty candidates: fifty are all of them. The image alone leaves 39 that score the same: counted as wrong.
    assert results["image alone"]["split"]["mean"] == {"r10": 0.0, "r50": 100.0, "mean": 50.0}


def test_a_diverged_model_is_an_error():
    class Diverged(Knowing):
        def text_part(self, texts):
            return super().text_part(texts) * torch.nan

    with pytest.raises(UserError, match="embeddings are not finite"):
        evaluate_composition(Diverged(None), DataLoader(Numbers(), batch_size=7))


def test_table_and_picture(evaluated, tmp_path):
    assert evaluated.draw(tmp_path) == {"retrieval_sheet": str(tmp_path / "retrieval.png")}
    assert (tmp_path / "retrieval.png").stat().st_size > 10_000
    json.dumps(evaluated.to_json())
    lines = evaluated.table().splitlines()
    assert lines[0].split("  ")[0] == "query, gallery" and "toptee R@50" in lines[0]
    starts = [line.split("  ")[0] for line in lines[2:]]
    kinds = ("image + text", "image alone", "text alone", "chance")
    assert starts == [f"{kind}, {gallery}" for kind in kinds for gallery in ("all images", "queried images")]
    row = lines[2].split()[-3:]
    mean = evaluated["image + text"]["split"]["mean"]
    assert row == [f"{mean['r10']:.2f}", f"{mean['r50']:.2f}", f"{mean['mean']:.2f}"]


PROGRAM = """
import json, sys
import torch
import torch.distributed as dist
from authors import tiny_of
from fashionfae_lavis.models import FashionComposition
from fashionfae_lavis.evaluation.composition import evaluate_composition
from fashionfae_lavis.models.adapters import adapt
sys.path.insert(0, sys.argv[3])
from test_composition import load, read
torch.set_num_threads(1)
dist.init_process_group("gloo")
results = evaluate_composition(adapt(tiny_of(FashionComposition).eval()), load(read(sys.argv[1]))).to_json()
with open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w") as file:
    json.dump(results, file)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(folder, evaluated, tmp_path):
    run_in_two_processes(PROGRAM, tmp_path, folder, tmp_path, Path(__file__).parent)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    for query in ("image + text", "image alone", "text alone", "chance"):
        for gallery in ("split", "queried"):
            for garment, figures in evaluated[query][gallery].items():
                # the batches differ: a rank may turn on the last digit
                assert first[query][gallery][garment] == pytest.approx(figures, abs=0.6), (query, garment)
