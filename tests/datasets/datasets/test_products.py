import numpy as np
import pytest
import torch
from programs import fork_server
from torch.utils.data import DataLoader, Dataset

from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset
from fashionfae_lavis.datasets.protocols import LabelledSplit, ProductSplit, TrainingSplit, require
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.processors import (
    FashionImageEvalProcessor,
    FashionImageTrainProcessor,
    FashionTextProcessor,
)


@pytest.fixture
def file(tmp_path, write_file):
    return FashionGenFile(write_file(tmp_path / "train.h5"))


def whole_image(image):
    """An image processor that keeps all pixels; the red channel encodes the row."""
    return torch.from_numpy(image).permute(2, 0, 1).float()


def row_of(image):
    return int(image[0, 0, 0])


class Seeded(Dataset):
    """Items that depend only on their index, as in the runner's loader."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        torch.manual_seed(index)
        return self.dataset[index]


def test_train_has_one_item_per_product(file):
    dataset = ProductDataset(file, whole_image, FashionTextProcessor("description"))
    assert len(dataset) == 4
    item = dataset[2]
    assert item["fields"] == dataset.product_fields(2)
    assert item["fields"]["season"] == "SS2017" and item["fields"]["sub category"] == "SHIRTS"
    assert item["text_input"] == "the image description is shirt 30 shirt number 30"
    assert (item["product_id"], item["image_id"], item["instance_id"]) == (30, 4, "2")
    assert item["image"].shape == (3, 16, 16) and row_of(item["image"]) == 4
    assert "image_2" not in item
    assert dataset.subcategory.tolist() == ["SHIRTS"] * 4


def test_train_draws_a_view_of_the_product_at_each_access(file):
    dataset = ProductDataset(file, whole_image, FashionTextProcessor())
    drawn = [dataset[0] for _ in range(60)]
    assert {row_of(item["image"]) for item in drawn} == {0, 3, 5}
    assert all(row_of(item["image"]) == item["image_id"] for item in drawn)


def test_double_view_is_another_view_where_there_is_one(file):
    dataset = ProductDataset(file, whole_image, FashionTextProcessor(), double_view=True)
    pairs = {(row_of(item["image"]), row_of(item["image_2"])) for item in (dataset[0] for _ in range(120))}
    assert pairs == {(0, 3), (0, 5), (3, 0), (3, 5), (5, 0), (5, 3)}
    assert row_of(dataset[2]["image_2"]) == 4  # its only view


def test_views_and_crops_follow_torch_s_generator(file):
    dataset = ProductDataset(file, FashionImageTrainProcessor(8, 16), FashionTextProcessor(), double_view=True)
    seeded = Seeded(dataset)
    for index in range(4):
        assert_same(seeded[index], seeded[index])


def test_eval_has_one_item_per_image(file):
    dataset = ProductEvalDataset(file, whole_image, FashionTextProcessor())
    assert len(dataset) == 8
    assert [dataset[i]["product_id"] for i in range(8)] == [70, 20, 20, 70, 30, 70, 10, 10]
    assert [row_of(dataset[i]["image"]) for i in range(8)] == [dataset[i]["image_id"] for i in range(8)]
    assert dataset[5]["instance_id"] == "5"
    assert dataset.product_ids[dataset.row_product].tolist() == [70, 20, 20, 70, 30, 70, 10, 10]


def test_collater(file):
    dataset = ProductDataset(file, whole_image, FashionTextProcessor(), double_view=True)
    batch = dataset.collater([dataset[i] for i in range(3)])
    assert batch["image"].shape == batch["image_2"].shape == (3, 3, 16, 16)
    assert batch["product_id"].tolist() == [70, 20, 30] and batch["product_id"].dtype == torch.int64
    assert batch["image_id"].shape == (3,) and batch["image_id"].dtype == torch.int64
    assert batch["instance_id"] == ["0", "1", "2"]
    assert batch["fields"][1]["title"] == "Shirt 20"
    assert all(isinstance(text, str) for text in batch["text_input"])


def test_labels_are_positions_in_the_list_of_classes(file):
    dataset = ProductEvalDataset(
        file, whole_image, FashionTextProcessor(), label="title", classnames=["Shirt 10", "Shirt 30", "Shirt 99"]
    )
    assert dataset.classnames == ["Shirt 10", "Shirt 30", "Shirt 99"]
    assert dataset.unseen == ["Shirt 20", "Shirt 70"]  # after the others
    rows = [70, 20, 20, 70, 30, 70, 10, 10]
    expected = [{10: 0, 30: 1, 20: 3, 70: 4}[product] for product in rows]
    assert [dataset[i]["label"] for i in range(8)] == expected
    batch = dataset.collater([dataset[i] for i in range(8)])
    assert batch["label"].tolist() == expected and batch["label"].dtype == torch.int64


def test_facts_about_attributes_have_defaults(file):
    dataset = ProductEvalDataset(file, whole_image, FashionTextProcessor())
    assert dataset.attribute_words == dataset.extra_attributes == {} and dataset.text_rewriter is None
    assert dataset.unseen_attributes == ("season",)
    assert dataset.labels is None and dataset.classnames == dataset.unseen == [] and "label" not in dataset[0]
    extra = {"colour": ["red"] * 4}
    dataset = ProductDataset(file, whole_image, FashionTextProcessor(), extra_attributes=extra, unseen_attributes=())
    assert dataset.extra_attributes is extra and dataset.unseen_attributes == ()


def test_attributes_are_unseen_by_their_names(file, monkeypatch):
    monkeypatch.setitem(file.texts, "year", ["2016"] * 4)
    monkeypatch.setitem(file.texts, "colour", ["red"] * 4)
    dataset = ProductEvalDataset(file, whole_image, FashionTextProcessor())
    assert dataset.unseen_attributes == ("season", "year")


def test_a_text_does_not_state_the_label(file):
    dataset = ProductDataset(file, whole_image, FashionTextProcessor(), label="gender", classnames=["Men"])
    text = dataset[0]["text_input"]
    assert "the image gender is" not in text and "the image season is" in text


def test_both_satisfy_the_protocols_of_their_splits(file):
    label = {"label": "category", "classnames": ["TOPS"]}
    train = ProductDataset(file, whole_image, FashionTextProcessor(), **label)
    evaluated = ProductEvalDataset(file, whole_image, FashionTextProcessor(), **label)
    require(train, TrainingSplit, "fashion_pretrain")
    require(evaluated, ProductSplit, "fashion_retrieval")
    for dataset in (train, evaluated):
        require(dataset, LabelledSplit, "fashion_recognition")


def test_photographs_are_unprocessed(file):
    photograph = ProductEvalDataset(file, whole_image, FashionTextProcessor()).photograph(5)
    assert photograph.dtype == np.uint8 and photograph.shape == (16, 16, 3) and (photograph[..., 0] == 5).all()


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, second[key]), key
        else:
            assert value == second[key], key


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (ProductDataset, "fork"),
        (ProductEvalDataset, "fork"),
        (ProductDataset, "forkserver"),  # pickles the dataset as spawn does, but has LAVIS imported
    ],
)
def test_worker_processes_give_the_same_items(fashiongen_folder, kind, method):
    path = fashiongen_folder / "fashiongen_256_256_train.h5"
    dataset = kind(FashionGenFile(path), FashionImageTrainProcessor(112, 128), FashionTextProcessor())
    seeded = Seeded(dataset)
    alone = [seeded[i] for i in range(len(seeded))]  # before the workers: the file is open when they start
    loader = DataLoader(
        seeded,
        batch_size=2,
        num_workers=2,
        multiprocessing_context=fork_server() if method == "forkserver" else method,
        collate_fn=dataset.collater,
    )
    batches = list(loader)
    expected = [dataset.collater(alone[i : i + 2]) for i in range(0, len(alone), 2)]
    assert len(batches) == len(expected)
    for ours, theirs in zip(batches, expected, strict=True):
        assert_same(ours, theirs)
    assert np.array_equal(seeded[0]["image"], alone[0]["image"])  # and still open in this process


def test_set_processors(file):
    dataset = ProductEvalDataset(file, whole_image, FashionTextProcessor())
    dataset.set_processors(FashionImageEvalProcessor(8, 16), FashionTextProcessor("description"))
    assert dataset[0]["image"].shape == (3, 8, 8) and "[SEP]" not in dataset[0]["text_input"]


def test_product_ids_are_integers(file, monkeypatch):
    monkeypatch.setattr(file, "product_ids", np.array([f"sku{i}" for i in range(len(file.product_ids))]))
    with pytest.raises(UserError, match="the product ids must be integers, not .*sku0.*: number the products"):
        ProductEvalDataset(file, whole_image, FashionTextProcessor())
