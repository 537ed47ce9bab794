import shutil
from pathlib import Path

import numpy as np
import pytest
from lavis.common.registry import registry
from lavis.datasets.builders import load_dataset
from omegaconf import OmegaConf

from fashionfae_lavis.datasets.builders import FashionGenBuilder, FashionGenMiniBuilder
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.fashiongen import ATTRIBUTE_WORDS


def test_load_dataset_from_a_folder(fashiongen_folder):
    splits = load_dataset("fashiongen", vis_path=str(fashiongen_folder))
    assert {name: len(split) for name, split in splits.items()} == {"train": 4, "val": 3}
    assert splits["train"][0]["image"].shape == (3, 224, 224)
    assert splits["val"][2]["text_input"].startswith("the image description is shirt 6 shirt number 6 [SEP] the image")


def test_options_of_the_configuration(fashiongen_folder):
    config = OmegaConf.load(FashionGenBuilder.default_config_path()).datasets.fashiongen
    config.build_info.images.storage = str(fashiongen_folder)
    config.double_view = True
    config.vis_processor.train = {"name": "fashionfae_image_train", "resize": 64, "image_size": 56}
    config.text_processor.eval.mode = "description"
    splits = FashionGenBuilder(config).build_datasets()
    assert splits["train"][1]["image_2"].shape == (3, 56, 56)
    assert "image_2" not in splits["val"][0] and "[SEP]" not in splits["val"][0]["text_input"]


def labelled(folder, label="sub category", mode="recognition"):
    config = OmegaConf.load(FashionGenBuilder.default_config_path()).datasets.fashiongen
    config.build_info.images.storage = str(folder)
    config.label = label
    for split in ("train", "eval"):
        config.text_processor[split].mode = mode
    return FashionGenBuilder(config).build_datasets()


def names(*values):
    return np.array([[value.encode()] for value in values])


@pytest.fixture
def shop(tmp_path, write_file):
    """Three training and three validation products, one with a subcategory that training lacks."""
    kinds = {"input_category": names("TOPS", "TOPS", "PANTS"), "input_subcategory": names("TEES", "SHIRTS", "JEANS")}
    write_file(tmp_path / "fashiongen_256_256_train.h5", ids=[1, 2, 3], size=256, **kinds)
    kinds["input_subcategory"] = names("SHIRTS", "POLOS", "JEANS")
    write_file(tmp_path / "fashiongen_256_256_validation.h5", ids=[4, 5, 6], size=256, **kinds)
    return tmp_path


def test_labels_number_the_sorted_classes_of_the_training_split(shop):
    splits = labelled(shop)
    assert splits["train"].classnames == splits["val"].classnames == ["JEANS", "SHIRTS", "TEES"]
    assert [splits["train"][i]["label"] for i in range(3)] == [2, 1, 0]
    assert (splits["train"].unseen, splits["val"].unseen) == ([], ["POLOS"])
    assert [splits["val"][i]["label"] for i in range(3)] == [1, 3, 0]


def test_the_label_may_be_the_category(shop):
    splits = labelled(shop, "category", "description")
    assert splits["train"].classnames == ["PANTS", "TOPS"]
    assert [splits["val"][i]["label"] for i in range(3)] == [1, 1, 0]


def test_an_unknown_label_is_named(shop):
    with pytest.raises(UserError, match="`label` of the dataset is 'subcategory', but must be category or sub cat"):
        labelled(shop, "subcategory")


def test_a_text_that_names_the_label_is_an_error(shop):
    with pytest.raises(UserError, match="`text_processor.train.mode` .* is description\\+attributes, whose text stat"):
        labelled(shop, mode="description+attributes")


def test_missing_files_are_reported_with_their_place(cache):
    with pytest.raises(UserError, match="under licence") as error:
        load_dataset("fashiongen")
    assert str(cache / "fashiongen" / "fashiongen_256_256_train.h5") in str(error.value)


@pytest.mark.parametrize("storage", ["shop/photos", None, "~/photos", "/data/photos"])
def test_where_the_files_are(storage, cache, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    builder = FashionGenBuilder()
    builder.config.build_info.images.storage = storage
    expected = {
        "shop/photos": cache / "shop/photos",
        None: cache / "fashiongen",
        "~/photos": Path("/home/someone/photos"),
        "/data/photos": Path("/data/photos"),
    }
    assert builder.folder() == expected[storage]


def test_mini_is_prepared_then_read(fashiongen_folder, tmp_path, monkeypatch):
    """`prepare` writes the files that the builder then reads, in the cache folder."""
    prepared = []

    def prepare(folder):
        prepared.append(folder)
        shutil.copytree(fashiongen_folder, folder)

    monkeypatch.setattr("fashionfae_lavis.mini.fashiongen.prepare", prepare)
    monkeypatch.setenv("FASHIONFAE_CACHE", str(tmp_path))
    splits = load_dataset("fashiongen_mini")
    assert prepared == [tmp_path / "fashiongen_mini"]
    assert splits["train"][0]["image"].shape == splits["val"][0]["image"].shape == (3, 112, 112)
    for name, split in (("train", "train"), ("val", "validation")):
        assert splits[name].extra_attributes.split == split
        assert splits[name].extra_attributes.product_ids is splits[name].product_ids
        assert splits[name].text_rewriter is splits[name].extra_attributes
        assert splits[name].attribute_words is ATTRIBUTE_WORDS
    assert splits["val"].unseen_attributes == ("gender", "season")


def test_registered_with_lavis():
    assert registry.get_builder_class("fashiongen") is FashionGenBuilder
    assert registry.get_builder_class("fashiongen_mini") is FashionGenMiniBuilder
