import pytest
from prepare.dirty_shop import photograph

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.folders import FolderProducts, title_of


def folder_of(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def products_of(root, *paths):
    source = FolderProducts(folder_of(root, *paths))
    return source, [(product.id, product.split, product.fields.get("category")) for product in source]


def test_folders_of_splits_and_classes(tmp_path):
    paths = ("Train/dress/1.jpg", "Train/t_shirt/new/2.PNG", "valid/dress/3.jpg", "test/4.webp", "test/notes.txt")
    source, products = products_of(tmp_path, *paths, "test/dress/.5.jpg", "__MACOSX/dress/6.jpg")
    assert products == [
        ("Train/dress/1.jpg", "train", "dress"),
        ("Train/t_shirt/new/2.PNG", "train", "t shirt"),
        ("test/4.webp", "test", None),
        ("valid/dress/3.jpg", "val", "dress"),
    ]
    assert source.attributes == ["category"] and source.names_splits


def test_folders_of_classes(tmp_path):
    source, products = products_of(tmp_path, "dress/1.jpg", "t-shirt/1.jpg", "0.jpg")
    assert products == [("0.jpg", "", None), ("dress/1.jpg", "", "dress"), ("t-shirt/1.jpg", "", "t-shirt")]
    assert source.attributes == ["category"] and not source.names_splits


def test_photographs_alone(tmp_path):
    source, products = products_of(tmp_path, "b.jpg", "a.jpg")
    assert products == [("a.jpg", "", None), ("b.jpg", "", None)] and source.attributes == []
    assert [product.row for product in source] == [1, 2]


def test_folders_of_splits_alone_have_no_attribute(tmp_path):
    source, products = products_of(tmp_path, "train/1.jpg", "val/2.jpg")
    assert products == [("train/1.jpg", "train", None), ("val/2.jpg", "val", None)] and source.attributes == []


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["notes.txt"], "has no photographs"),
        (["train/a/1.jpg", "extra/1.jpg"], r"has folders named like splits \(train\) and others \(extra\): move the"),
        (["train/a/1.jpg", "1.jpg"], "and photographs in none of them: move these into the folder of their split"),
    ],
)
def test_folders_that_are_ambiguous(tmp_path, paths, message):
    with pytest.raises(UserError, match=message):
        FolderProducts(folder_of(tmp_path, *paths))


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("red-wool-coat.jpg", "red wool coat"),
        ("Red_Wool_Coat_0231.jpeg", "Red Wool Coat"),
        ("été robe légère.png", "été robe légère"),
        ("009b3c31-fb62-45c0-be9a-37a5c238cb88.jpg", ""),
        ("ab0c-face-3f21-dead-9911aabbccdd.jpg", ""),
        ("IMG_20240101_WA0001.jpg", ""),
        ("Screenshot from 2024-01-01.png", ""),
        ("dress_001.jpg", ""),
        ("10054.jpg", ""),
    ],
)
def test_a_title_needs_words(name, title):
    assert title_of(name) == title


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    photograph(0).save(tmp_path / "outside" / "1.jpg")
    folder_of(tmp_path / "in", "dress/1.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert [product.id for product in FolderProducts(tmp_path / "in")] == ["dress/1.jpg"]
