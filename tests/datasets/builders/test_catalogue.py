import json
import re
import shlex
import time

import numpy as np
import pytest
import torch
from lavis.common.registry import registry
from lavis.datasets.builders import load_dataset
from omegaconf import OmegaConf
from prepare.dirty_shop import OPTIONS, photograph, write_dirty_shop
from tiny import tiny_model
from torchvision.transforms import v2

from fashionfae_lavis.cli import main
from fashionfae_lavis.datasets.builders import (
    CatalogueBuilder,
    CatalogueRecognitionBuilder,
    CatalogueRetrievalBuilder,
)
from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile
from fashionfae_lavis.datasets.datasets.catalogue_shards import CatalogueShards
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_questions import attribute_values
from fashionfae_lavis.evaluation.grounding import aetp_grounding
from fashionfae_lavis.masking.word_masks import NO_LABEL, mask_text
from fashionfae_lavis.photographs import ENOUGH
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.prepare.catalogue_shards import write_catalogue_shards


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A catalogue of forty products with other attributes than FashionGen's; some have no pattern."""
    folder = tmp_path_factory.mktemp("catalogue")
    rows = []
    (folder / "photos").mkdir()
    for i in range(40):
        photograph(i, (40, 48)).save(folder / "photos" / f"{i}.png")
        row = {"sku": f"x{i}", "name": f"Shirt {i}", "img": [f"{i}.png"], "category": ("TOPS", "COATS")[i // 20]}
        rows.append({**row, "Sleeve_Length": ("long", "short")[i % 2], "pattern": ("striped", "plain", None)[i % 3]})
    (folder / "shop.jsonl").write_text("\n".join(map(json.dumps, rows)))
    prepare_catalogue(
        folder / "shop.jsonl",
        folder / "photos",
        folder / "out",
        {"title": "name", "image": "img"},
        {"Sleeve_Length": "Sleeve_Length", "pattern": "pattern", "category": "category"},
        validation=0.25,
    )
    return folder / "out"


def build(kind, root, size=32, **changes):
    config = OmegaConf.load(kind.default_config_path()).datasets
    (config,) = config.values()
    config.root = str(root)
    for split in ("train", "eval"):
        config.vis_processor[split].update(resize=size, image_size=size)
    for key, value in changes.items():
        OmegaConf.update(config, key, value)
    return kind(config).build_datasets()


def test_the_whole_of_a_configuration_is_its_root(root):
    config = OmegaConf.create({"root": str(root)})
    merged = OmegaConf.merge(OmegaConf.load(CatalogueBuilder.default_config_path()).datasets.catalogue, config)
    splits = CatalogueBuilder(merged).build_datasets()
    assert {name: len(split) for name, split in splits.items()} == {"train": 30, "val": 10}
    item = splits["val"][0]
    assert item["image"].shape == (3, 112, 112) and item["image"].dtype == torch.float32
    fields = item["fields"]
    assert list(fields) == ["title", "description", "sleeve length", "pattern", "category"]
    expected = f"the image description is {fields['title'].lower()} [SEP] the image sleeve length is"
    assert item["text_input"].startswith(expected)
    assert registry.get_builder_class("catalogue") is CatalogueBuilder


def test_masking_asks_for_the_catalogue_s_own_attributes(root):
    model, train = tiny_model(), build(CatalogueBuilder, root)["train"]
    asked = set()
    for index in range(30):
        fields = {**train.product_fields(index), "title": ""}
        masked = mask_text(fields, model.tokenizer, np.random.default_rng(index), 96)
        labels = [i for i, prompt in zip(masked.labels, masked.is_prompt, strict=True) if prompt and i != NO_LABEL]
        asked.add(model.tokenizer.decode(labels).replace(" ", ""))
    assert {"long", "short", "striped", "plain", "tops", "coats"} == asked


def test_the_probe_and_the_grounding_ask_about_them_too(root):
    validation = build(CatalogueBuilder, root)["val"]
    values = attribute_values(validation)
    assert list(values) == ["sleeve length", "pattern", "category"]
    assert set(values["pattern"]) == {"striped", "plain", ""}
    grounding = aetp_grounding(tiny_model(), validation)
    assert set(grounding) == {"sleeve length", "pattern", "category"}


def test_training_images_may_come_from_shards(root, tmp_path):
    write_catalogue_shards(root, tmp_path / "shards")
    files, shards = (
        build(CatalogueBuilder, root, **changes) for changes in ({}, {"storage": str(tmp_path / "shards")})
    )
    assert type(shards["train"].file) is CatalogueShards and type(shards["val"].file) is CatalogueFile
    for index in (0, 29):
        ours, theirs = shards["train"].photograph(index), files["train"].photograph(index)
        assert shards["train"].product_fields(index) == files["train"].product_fields(index)
        assert abs(np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int)).mean() < 2
    with pytest.raises(UserError, match=r"nowhere/index.json cannot be read"):
        build(CatalogueBuilder, root, storage=str(tmp_path / "nowhere"))


def test_retrieval_shuffles_the_attributes_of_training_texts_only(root):
    splits = build(CatalogueRetrievalBuilder, root)
    texts = {splits["train"][0]["text_input"] for _ in range(40)}
    assert len(texts) > 1
    assert len({splits["val"][0]["text_input"] for _ in range(10)}) == 1


def test_any_attribute_can_be_recognised_and_is_not_told(root):
    splits = build(CatalogueRecognitionBuilder, root, label="sleeve length")
    train = splits["train"]
    assert train.classnames == ["long", "short"] == splits["val"].classnames
    for index in range(len(train)):
        item = train[index]
        assert item["label"] == train.classnames.index(item["fields"]["sleeve length"])
        assert "sleeve length" not in item["text_input"] and "category" not in item["text_input"]
        assert ("the image pattern is" in item["text_input"]) == bool(item["fields"]["pattern"])


def test_products_without_the_label_are_left_out(root):
    splits = build(CatalogueRecognitionBuilder, root, label="pattern")
    assert splits["train"].classnames == ["plain", "striped"]
    assert 0 < len(splits["train"]) + len(splits["val"]) == 27


def test_sub_test_negatives_are_of_the_category(root):
    assert set(build(CatalogueBuilder, root)["val"].subcategory) == {"TOPS", "COATS"}


def test_mistakes_are_named(root, tmp_path):
    with pytest.raises(UserError, match="`root` of the dataset is not set"):
        load_dataset("catalogue")
    with pytest.raises(UserError, match="is missing: make it with `fashionfae prepare catalogue"):
        build(CatalogueBuilder, tmp_path)
    with pytest.raises(
        UserError, match="`label` of the dataset is 'colour', but .* has the attributes sleeve length, p"
    ):
        build(CatalogueRecognitionBuilder, root, label="colour")
    lines = (root / "catalogue.jsonl").read_text().splitlines(keepends=True)
    head = json.loads(lines[0])
    for broken, message in (
        ("", "is damaged"),
        ("".join(lines[:-1]), "its first line gives another number"),
        ("".join(lines)[:-30], "is damaged"),
        (json.dumps({**head, "format": 99}), "prepared by another version"),
    ):
        (tmp_path / "catalogue.jsonl").write_text(broken)
        with pytest.raises(UserError, match=message) as caught:
            build(CatalogueBuilder, tmp_path)
        assert "prepare the catalogue again" in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_for_a_missing_catalogue_makes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(8):
        photo = tmp_path / "photos" / ("coat", "hat")[i % 2] / f"{i}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photograph(i, (40, 48)).save(photo)
    (tmp_path / "empty").mkdir()
    for root in ("shop", "empty"):
        with pytest.raises(UserError) as missing:
            build(CatalogueBuilder, root)
        command = re.search("`fashionfae (.*?)`", str(missing.value))[1]
        main(shlex.split(command.replace("DIR", "photos")))
        assert len(build(CatalogueBuilder, root)["train"])


def test_an_image_that_has_gone_is_named(root, tmp_path):
    lines = (root / "catalogue.jsonl").read_text().splitlines()
    head = {**json.loads(lines[0]), "images": "nowhere"}
    (tmp_path / "catalogue.jsonl").write_text("\n".join([json.dumps(head), *lines[1:]]))
    with pytest.raises(UserError, match="nowhere/.*png is missing: put it back"):
        build(CatalogueBuilder, tmp_path)["train"][0]


def test_what_is_good_of_a_dirty_catalogue_trains(tmp_path):
    """All five objectives and recognition of ten products, batch by batch."""
    shop = write_dirty_shop(tmp_path)
    prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path / "out", **OPTIONS, max_bad=0.6)
    train = build(CatalogueBuilder, tmp_path / "out")["train"]
    assert len(train) == 9
    model = tiny_model()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    batch = train.collater([train[index] for index in range(9)])
    losses = []
    for _ in range(3):
        losses.append(model({**batch, "mask_seed": (0,)})["loss"])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert torch.isfinite(torch.stack(losses)).all() and losses[-1] < losses[0]


def test_opening_is_fast(root, tmp_path):
    """Opening a hundred thousand products takes less than three seconds."""
    head, *products = (root / "catalogue.jsonl").read_text().splitlines()
    products = [json.loads(product) for product in products]
    with open(tmp_path / "catalogue.jsonl", "w") as file:
        file.write(json.dumps({**json.loads(head), "products": {"train": 100_000}}) + "\n")
        for number in range(100_000):
            product = {**products[number % 40], "split": "train", "row": number, "description": "word " * 60}
            file.write(json.dumps(product) + "\n")
    start = time.process_time()
    assert len(build(CatalogueBuilder, tmp_path)["train"]) == 100_000
    assert time.process_time() - start < 3


def test_a_root_that_is_nowhere_is_named_with_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"neither {tmp_path}/shop nor .*/shop: make it with `fashionfae prepare"):
        build(CatalogueBuilder, "shop")


@pytest.mark.parametrize(("attribute", "jitters"), [("pattern", True), ("Main_Colour", False)])
def test_colours_of_photographs_change_unless_colour_is_an_attribute(root, tmp_path, attribute, jitters):
    prepare_catalogue(
        root.parent / "shop.jsonl",
        root.parent / "photos",
        tmp_path,
        {"title": "name", "image": "img"},
        {attribute: "pattern", "category": "category"},
    )
    train = build(CatalogueBuilder, tmp_path)["train"]
    changes = [step for step in train.vis_processor.transform.transforms if isinstance(step, v2.ColorJitter)]
    assert len(changes) == jitters


def test_training_photographs_are_decoded_at_the_size_that_their_crops_need(root, tmp_path):
    splits = build(CatalogueBuilder, root, size=112)
    assert (splits["train"].file.enough, splits["val"].file.enough) == (162, ENOUGH)
    still = OmegaConf.create({"train": {"name": "fashionfae_image_train", "image_size": 112, "resize": 128}})
    assert build(CatalogueBuilder, root, vis_processor=still)["train"].file.enough == ENOUGH

    listed = (root / "catalogue.jsonl").read_text().splitlines()
    product = {**json.loads(listed[1]), "split": "train", "images": ["large.jpg"]}
    head = {**json.loads(listed[0]), "images": str(tmp_path), "products": {"train": 1}}
    (tmp_path / "catalogue.jsonl").write_text("\n".join(map(json.dumps, [head, product])))
    photograph(0, (512, 640)).save(tmp_path / "large.jpg")
    write_catalogue_shards(tmp_path, tmp_path / "shards")
    for storage in (None, str(tmp_path / "shards")):
        train = build(CatalogueBuilder, tmp_path, size=112, storage=storage)["train"]
        assert train.photograph(0).size == (256, 320)


@pytest.fixture
def for_evaluation(root, tmp_path):
    """The same catalogue with all products in `test` but four, which are in `val`."""
    head, *products = map(json.loads, (root / "catalogue.jsonl").read_text().splitlines())
    products = [{**product, "split": "val" if row < 4 else "test"} for row, product in enumerate(products)]
    head = {**head, "images": str(root.parent / "photos"), "products": {"val": 4, "test": len(products) - 4}}
    (tmp_path / "catalogue.jsonl").write_text("\n".join(map(json.dumps, [head, *products])))
    return tmp_path


def test_a_catalogue_may_have_no_training_products(for_evaluation):
    splits = build(CatalogueBuilder, for_evaluation)
    assert {name: len(split) for name, split in splits.items()} == {"val": 4, "test": 36}
    labelled = build(CatalogueRecognitionBuilder, for_evaluation, label="pattern")
    assert labelled["val"].classnames == labelled["test"].classnames == ["plain", "striped"]
    with pytest.raises(UserError, match="`label` of the dataset is 'colour'"):
        build(CatalogueRecognitionBuilder, for_evaluation, label="colour")


def test_classes_can_be_those_of_a_model(for_evaluation):
    split = build(CatalogueRecognitionBuilder, for_evaluation, label="pattern")["test"]
    values = split.file.texts["pattern"]
    split.use_classes(["striped", "dotted"])
    assert split.classnames == ["striped", "dotted"] and split.unseen == ["plain"]
    assert split.labels.tolist() == [{"striped": 0, "plain": 2}[value] for value in values]


def test_a_label_that_no_product_has_is_an_error(root, tmp_path):
    lines = (root / "catalogue.jsonl").read_text().splitlines()
    head = json.loads(lines[0])
    head = {**head, "attributes": [*head["attributes"], "fit"], "images": str(root.parent / "photos")}
    (tmp_path / "catalogue.jsonl").write_text("\n".join([json.dumps(head), *lines[1:]]))
    with pytest.raises(UserError, match="has no product to use: set `label`"):
        build(CatalogueRecognitionBuilder, tmp_path, label="fit")
