"""Datasets that lack something for a task are rejected, in one sentence, before training."""

import json

import pytest
from authors import tiny_of
from baselines import tiny_baseline
from lavis.datasets.datasets.caption_datasets import CaptionDataset
from lavis.datasets.datasets.retrieval_datasets import RetrievalDataset, RetrievalEvalDataset
from lavis.tasks.base_task import BaseTask
from omegaconf import OmegaConf
from PIL import Image
from tiny import tiny_model
from torchvision.transforms.functional import to_tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRetrieval
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.tasks import (
    AETPTask,
    AttributeProbeTask,
    FashionCaptioningTask,
    FashionCompositionTask,
    FashionFAEPretrainTask,
    FashionRecognitionTask,
    FashionRetrievalTask,
    ImageTokenizerTask,
)


@pytest.fixture
def lavis_datasets(tmp_path, monkeypatch):
    """Makes every task build these datasets through LAVIS."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    entry = {"image": "a.png", "image_id": "a"}
    (tmp_path / "train.json").write_text(json.dumps([{**entry, "caption": "a shirt"}]))
    (tmp_path / "val.json").write_text(json.dumps([{**entry, "caption": ["a shirt"]}]))

    def use(train_class):
        paths = {split: [str(tmp_path / f"{split}.json")] for split in ("train", "val")}
        train = train_class(to_tensor, str, str(tmp_path), paths["train"])
        splits = {"train": train, "val": RetrievalEvalDataset(to_tensor, str, str(tmp_path), paths["val"])}
        monkeypatch.setattr(BaseTask, "build_datasets", lambda self, cfg: {"coco": splits})

    return use


def config(task, **run):
    run = {"task": task, "valid_splits": ["val"], "test_splits": [], **run}
    return type("Config", (), {"run_cfg": OmegaConf.create(run), "datasets_cfg": OmegaConf.create({"coco": {}})})


@pytest.mark.parametrize(
    ("task_class", "name", "evaluate", "lacking"),
    [
        (FashionRetrievalTask, "fashion_retrieval", False, "fields, product_id"),
        (AETPTask, "aetp", False, "fields, product_id"),
        (FashionCompositionTask, "fashion_composition", False, "target_image"),
        (FashionRecognitionTask, "fashion_recognition", False, "labels.* label"),
        (FashionRetrievalTask, "fashion_retrieval", True, "product_ids, row_product"),
        (AttributeProbeTask, "attribute_probe", True, "product_ids, row_product"),
        (FashionCaptioningTask, "fashion_captioning", False, "product_ids, row_product"),
        (FashionCompositionTask, "fashion_composition", True, "texts, reference, target"),
    ],
)
def test_what_a_dataset_of_lavis_lacks_is_one_sentence(lavis_datasets, task_class, name, evaluate, lacking):
    lavis_datasets(RetrievalDataset)
    cfg = config(name, evaluate=evaluate)
    with pytest.raises(UserError, match=f"{name} cannot use the dataset Retrieval.*Dataset, which lacks .*{lacking}"):
        task_class.setup_task(cfg).build_datasets(cfg)


def test_a_dataset_that_has_what_the_task_needs_is_used(lavis_datasets):
    lavis_datasets(CaptionDataset)
    cfg = config("fashion_captioning", valid_splits=[])
    assert set(FashionCaptioningTask.setup_task(cfg).build_datasets(cfg)["coco"]) == {"train", "val"}


@pytest.mark.parametrize(
    ("task", "arch", "message"),
    [
        (
            FashionFAEPretrainTask,
            "fashion_clip",
            "fashion_clip does not train FashionFAE's objective itc: set run.task",
        ),
        (
            AETPTask,
            "fashion_blip",
            "fashion_blip does not train FashionFAE's objective aetp: set run.task to fashion_pr",
        ),
        (AETPTask, "fashionfae_retrieval", "fashionfae_retrieval does not train FashionFAE's objective aetp"),
        (ImageTokenizerTask, "fashion_albef", "fashion_albef is no image tokenizer: set it to fashionfae_image_tokeni"),
        (FashionRecognitionTask, "fashion_albef", "fashion_albef has no classifier: set it to fashionfae_recognition"),
        (FashionRecognitionTask, "fashionfae", "fashionfae has no classifier: set it to fashionfae_recognition"),
    ],
)
def test_a_model_that_cannot_do_the_task_is_one_sentence(task, arch, message):
    model = {"fashionfae": tiny_model, "fashionfae_retrieval": lambda: tiny_of(FashionRetrieval)}
    adapter = adapt(model[arch]() if arch in model else tiny_baseline(arch))
    with pytest.raises(UserError, match=f"model.arch: {message}"):
        task({}).check_model(adapter, arch)


def test_the_models_of_a_task_pass():
    FashionFAEPretrainTask({}).check_model(adapt(tiny_model()), "fashionfae")
    itc = {"steps": [{"objectives": ["itc"], "ratio": 1}]}
    FashionFAEPretrainTask(itc).check_model(adapt(tiny_of(FashionRetrieval)), "fashionfae_retrieval")
    for arch in ("fashion_clip", "fashion_albef_recognition"):
        FashionRecognitionTask({}).check_model(adapt(tiny_baseline(arch)), arch)
    tokenizer = ImageTokenizer(channels=8, multipliers=[1, 2], blocks=1, codes=4, code_dim=4)
    ImageTokenizerTask({}).check_model(adapt(tokenizer), "fashionfae_image_tokenizer")
