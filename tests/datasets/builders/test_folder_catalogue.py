"""Catalogues of photographs without a table, whose products have a category at most."""

import argparse
from pathlib import Path

import pytest
import torch
from prepare.dirty_shop import photograph
from tiny import tiny_model
from torch.nn.functional import interpolate

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.tasks.image_tokenizer import ImageTokenizerTask
from fashionfae_lavis.tasks.pretrain import FashionFAEPretrainTask
from fashionfae_lavis.tasks.recognition import FashionRecognitionTask
from fashionfae_lavis.train import load_config

PROJECT = Path(__file__).parents[3] / "projects" / "fashionfae" / "catalogue"
TEXT = "the image description is"


def catalogue(folder, path):
    for i in range(8):
        file = folder / "photos" / path.format(i=i, category=("dress", "hat")[i % 2])
        file.parent.mkdir(parents=True, exist_ok=True)
        photograph(i, (40, 40)).save(file)
    prepare_catalogue(None, folder / "photos", folder / "out", validation=0.5)
    return folder / "out"


def datasets_of(task, recipe, root, *options):
    (key,) = load_config(argparse.Namespace(cfg_path=PROJECT / recipe, options=None)).datasets_cfg
    options = [f"datasets.{key}.root={root}", *(f"datasets.{key}.{option}" for option in options)]
    cfg = load_config(argparse.Namespace(cfg_path=PROJECT / recipe, options=options))
    (splits,) = task.setup_task(cfg).build_datasets(cfg).values()
    return splits


def test_a_category_alone_is_text_to_train_on(tmp_path):
    train = datasets_of(FashionFAEPretrainTask, "pretrain.yaml", catalogue(tmp_path, "{category}/{i}.png"))["train"]
    items = [train[i] for i in range(4)]
    assert {item["text_input"] for item in items} == {
        f"{TEXT} [SEP] the image category is {name}" for name in ("dress", "hat")
    }
    batch = train.collater(items) | {"mask_seed": (0,), "objectives": ["itc", "itm", "mlm", "aetp", "apir"]}
    batch["image"] = interpolate(batch["image"], 32)
    output = tiny_model()(batch)
    assert all(value.isfinite() for value in output.values()) and output["loss_mlm"] == 0 < output["loss_aetp"]


def test_class_folders_are_classes_of_recognition(tmp_path):
    root = catalogue(tmp_path, "{category}/{i}.png")
    splits = datasets_of(FashionRecognitionTask, "recognition.yaml", root, "label=category")
    assert splits["train"].classnames == ["dress", "hat"] and splits["val"][0]["text_input"] == TEXT


def test_photographs_without_any_text_can_be_embedded_but_not_matched_with_texts(tmp_path):
    root = catalogue(tmp_path, "{i}.png")
    splits = datasets_of(ImageTokenizerTask, "pretrain.yaml", root)
    assert len(splits["train"]) == len(splits["val"]) == 4
    images = torch.stack([splits["val"][i]["image"] for i in range(4)])
    model = tiny_model()
    assert model.image_embedding(model.image_encoder(interpolate(images, 32))).isfinite().all()
    with pytest.raises(UserError, match="no product of catalogue.train has a title, a description or an attribute"):
        datasets_of(FashionFAEPretrainTask, "pretrain.yaml", root)
    with pytest.raises(UserError, match="has no attributes: prepare it with --attributes, or from class folders"):
        datasets_of(FashionRecognitionTask, "recognition.yaml", root, "label=category")
