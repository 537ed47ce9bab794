import pytest
import torch
from torch.utils.data import Dataset, IterableDataset
from toy_products import ToyProducts

from fashionfae_lavis.datasets.protocols import (
    CompositionSplit,
    LabelledSplit,
    ProductSplit,
    RequestSplit,
    TrainingSplit,
    require,
)
from fashionfae_lavis.errors import UserError


class Captions(Dataset):
    """A dataset with the interface of LAVIS's captioning datasets."""

    text_processor = str

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"image": torch.rand(3, 8, 8), "text_input": "a shirt", "image_id": index}

    def collater(self, samples):
        return torch.utils.data.default_collate(samples)


class Labelled(Captions):
    labels, classnames, unseen = torch.tensor([0, 1]), ["a", "b"], []

    def __getitem__(self, index):
        return {**super().__getitem__(index), "label": index}


def message(*arguments):
    with pytest.raises(UserError) as caught:
        require(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_missing_attribute_and_item_key_is_named():
    assert message(Captions(), ProductSplit, "fashion_retrieval") == (
        "fashion_retrieval cannot use the dataset Captions, which lacks the attributes product_ids, row_product, "
        "subcategory, attribute_words, extra_attributes, unseen_attributes, text_rewriter, product_fields, photograph "
        "(see docs/datasets.md)."
    )
    assert message(Captions(), TrainingSplit, "fashionfae_pretrain") == (
        "fashionfae_pretrain cannot use the dataset Captions, which lacks the item keys fields, product_id (see "
        "docs/datasets.md)."
    )
    said = message(Captions(), CompositionSplit, "fashion_composition")
    assert "the attributes texts, reference, target, row_class, keys, photograph (see docs" in said
    assert "the item keys target_image" in message(Captions(), RequestSplit, "fashion_composition")
    assert "attributes labels, classnames, unseen and the item keys label (" in message(Captions(), LabelledSplit, "x")


def test_a_dataset_that_has_everything_passes():
    require(ToyProducts(4), ProductSplit, "attribute_probe")
    require(Labelled(), LabelledSplit, "fashion_recognition")


def test_labels_that_were_not_asked_for_are_missing():
    dataset = Labelled()
    dataset.labels = None
    assert "labels (set `label` of the dataset)" in message(dataset, LabelledSplit, "fashion_recognition")


def test_the_check_draws_no_random_number():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    message(Captions(), TrainingSplit, "fashion_pretrain")
    assert torch.equal(torch.rand(2), expected)


def test_streams_and_empty_splits_are_not_read():
    class Stream(IterableDataset):
        collater = None

        def __iter__(self):
            raise AssertionError("read")

    class Empty(Captions):
        def __len__(self):
            return 0

    require(Stream(), TrainingSplit, "fashion_pretrain")
    require(Empty(), TrainingSplit, "fashion_pretrain")


def test_a_dataset_without_a_length_or_a_collater():
    assert "the attributes __len__, collater (" in message(Dataset(), TrainingSplit, "fashion_pretrain")
