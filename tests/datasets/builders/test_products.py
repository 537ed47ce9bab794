"""What all builders of product datasets do."""

import pytest
from omegaconf import OmegaConf
from toy_products import ToyProducts

from fashionfae_lavis.datasets.builders.products import ProductBuilder
from fashionfae_lavis.errors import UserError


class ToyFile:
    """The file of a ToyProducts."""

    path = "toys"

    def __init__(self, toys):
        self.product_ids, self.row_product, self.image = toys.product_ids, toys.row_product, toys.photograph
        self.texts = {name: [fields[name] for fields in toys.fields] for name in toys.fields[0]}


class ToyBuilder(ProductBuilder):
    DATASET_CONFIG_DICT = {}

    def open_files(self):
        return {"train": ToyFile(ToyProducts(20)), "val": ToyFile(ToyProducts(8))}


def built(**config):
    processors = {"vis_processor": {}, "text_processor": {}}
    return ToyBuilder(OmegaConf.create({"data_type": "images", **processors, **config})).build()


def test_train_has_products_and_other_splits_have_images():
    splits = built()
    assert {name: len(split) for name, split in splits.items()} == {"train": 20, "val": 16}
    assert splits["val"].labels is None


def test_classes_are_those_of_the_training_split():
    splits = built(label="category")
    assert splits["train"].classnames == splits["val"].classnames == ["DRESSES", "SKIRTS", "TOPS"]


def test_an_unknown_label_is_named_with_the_attributes():
    with pytest.raises(UserError, match="`label` of the dataset is 'color', but its attributes are: category, sub cat"):
        built(label="color")
