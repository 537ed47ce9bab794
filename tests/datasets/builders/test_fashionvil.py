import pytest
import torch
from fashionvil_layouts import write_layouts
from lavis.common.registry import registry
from lavis.datasets.builders import load_dataset
from omegaconf import OmegaConf
from tiny import tiny_model

from fashionfae_lavis.datasets.builders import (
    FashionViLFACADBuilder,
    FashionViLFashion200kBuilder,
    FashionViLFashionGenBuilder,
    FashionViLPolyvoreBuilder,
)
from fashionfae_lavis.errors import UserError

BUILDERS = {
    "fashionvil_fashiongen": FashionViLFashionGenBuilder,
    "fashionvil_facad": FashionViLFACADBuilder,
    "fashionvil_fashion200k": FashionViLFashion200kBuilder,
    "fashionvil_polyvore": FashionViLPolyvoreBuilder,
}
COUNTS = {"FashionGen": 8, "BigFACAD": 7, "Fashion200k": 6, "PolyvoreOutfits": 5}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fashionvil")
    write_layouts(folder, COUNTS)
    return folder


def build(name, root, **changes):
    config = OmegaConf.load(BUILDERS[name].default_config_path()).datasets[name]
    config.build_info.images.storage = str(root)
    for split in ("train", "eval"):
        config.vis_processor[split].update(resize=32, image_size=32)
    for key, value in changes.items():
        OmegaConf.update(config, key, value)
    return BUILDERS[name](config).build_datasets()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("fashionvil_fashiongen", {"train": 8, "val": 8}),
        ("fashionvil_facad", {"train": 7, "val": 8}),
        ("fashionvil_fashion200k", {"train": 6, "val": 4, "test": 4}),
        ("fashionvil_polyvore", {"train": 5}),
    ],
)
def test_splits(root, name, sizes):
    assert registry.get_builder_class(name) is BUILDERS[name]
    assert {split: len(dataset) for split, dataset in build(name, root).items()} == sizes


def test_text_has_the_prompts_of_what_a_product_has(root):
    texts = {name: build(name, root)["train"][1]["text_input"] for name in BUILDERS}
    assert texts == {
        "fashionvil_fashiongen": "the image description is striped cotton shirt 1 long sleeves [SEP] the image "
        "category is tops the image sub category is shirts the image gender is men the image season is spring summer "
        "2017 the image composition is 100 cotton",
        "fashionvil_facad": "the image description is wool coat 1 warm and long [SEP] the image colour is dark green",
        "fashionvil_fashion200k": "the image description is black lace dress 1 [SEP] the image category is dresses "
        "the image sub category is long sleeved tops",
        "fashionvil_polyvore": "the image description is leather bag 1 with a strap",
    }
    assert (
        build("fashionvil_facad", root)["train"][0]["text_input"]
        == "the image description is wool coat 0 warm and long"
    )


def test_images_of_train_and_val_of_fashiongen_are_its_own(root):
    splits = build("fashionvil_fashiongen", root)
    assert splits["train"].file.path.name == "train_info.json" and splits["val"].file.path.name == "val_info.json"
    assert splits["val"][0]["product_id"] == 8 and splits["val"][0]["image"].shape == (3, 32, 32)
    red = splits["val"].file.image(0).getpixel((0, 0))[0]
    assert red == 5 * 8


@pytest.mark.parametrize("name", BUILDERS)
def test_every_objective_learns_from_a_batch(root, name):
    """Batches train, even from a dataset without attributes or with attributes for only some products."""
    model, train = tiny_model(), build(name, root, double_view=True)["train"]
    losses = model({**train.collater([train[index] for index in range(5)]), "mask_seed": (0,)})
    losses["loss"].backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_aetp"] > 0 and losses["loss_mlm"] > 0


def test_mistakes_are_named(root, tmp_path):
    with pytest.raises(UserError, match="fashionvil/PolyvoreOutfits/train_info.json is missing"):
        load_dataset("fashionvil_polyvore")  # in the cache folder of the tests
    write_layouts(tmp_path, {"PolyvoreOutfits": 3})
    (tmp_path / "PolyvoreOutfits" / "images" / "1.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of 3 images .* \(1.jpg\): .*`allow_missing`"):
        build("fashionvil_polyvore", tmp_path)
    assert len(build("fashionvil_polyvore", tmp_path, allow_missing=True)["train"]) == 2
