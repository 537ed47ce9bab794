from pathlib import Path

import pytest
from lavis.common.registry import registry
from lavis.datasets.builders import dataset_zoo, load_dataset
from omegaconf import OmegaConf

from fashionfae_lavis.datasets.builders import FashionIQBuilder, FashionIQMiniBuilder
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.fashioniq import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fashioniq")
    prepare(path, train_pool=30, validation_pool=25, image_size=64)
    return path


def test_load_dataset_from_a_folder(folder):
    splits = load_dataset("fashioniq", vis_path=str(folder))
    assert list(splits) == ["train", "val"] and len(splits["val"]) == 3 * 3 * 25
    assert splits["train"][0]["image"].shape == splits["train"][0]["target_image"].shape == (3, 224, 224)
    assert splits["val"][0]["image"].shape == (3, 224, 224) and len(splits["val"].texts) == 3 * 3 * 67


def test_allow_missing_in_the_configuration(folder, tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("captions", "image_splits"):
        (tmp_path / name).symlink_to(folder / name)
    for path in sorted((folder / "images").iterdir())[1:]:
        (tmp_path / "images" / path.name).symlink_to(path)
    config = OmegaConf.load(FashionIQBuilder.default_config_path()).datasets.fashioniq
    config.build_info.images.storage = str(tmp_path)
    with pytest.raises(UserError, match="1 of .* train split are not in"):
        FashionIQBuilder(config).build_datasets()
    config.allow_missing = True
    assert FashionIQBuilder(config).build_datasets()["train"].left_out > 0


def test_missing_files_are_reported_with_their_place(cache):
    with pytest.raises(UserError, match=r"is missing: .*XiaoxiaoGuo/fashion-iq") as error:
        load_dataset("fashioniq")
    assert str(cache / "fashioniq" / "captions" / "cap.dress.train.json") in str(error.value)


def test_mini_is_prepared_in_the_cache_then_read(folder, tmp_path, monkeypatch):
    prepared = []

    def prepare(place):
        prepared.append(place)
        Path(place).symlink_to(folder)

    monkeypatch.setattr("fashionfae_lavis.mini.fashioniq.prepare", prepare)
    monkeypatch.setenv("FASHIONFAE_CACHE", str(tmp_path))
    splits = load_dataset("fashioniq_mini")
    assert prepared == [tmp_path / "fashioniq_mini"]
    assert splits["train"][0]["image"].shape == splits["val"][0]["image"].shape == (3, 112, 112)


def test_registered_with_lavis():
    assert registry.get_builder_class("fashioniq") is FashionIQBuilder
    assert registry.get_builder_class("fashioniq_mini") is FashionIQMiniBuilder
    assert {"fashioniq", "fashioniq_mini"} <= set(dataset_zoo.get_names())
