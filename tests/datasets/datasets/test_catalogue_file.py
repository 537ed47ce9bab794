import json

import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.errors import UserError

PRODUCTS = [
    {"split": "train", "row": 7, "images": ["a.png", "b.png"], "fields": {"colour": "red"}},
    {"split": "val", "row": 3, "images": ["b.png"], "fields": {"colour": "blue"}},
    {"split": "train", "row": 2, "images": ["c.png"], "fields": {}},
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    for number, name in enumerate("abc"):
        Image.new("RGB", (9, 8), (50 * number, 0, 0)).save(tmp_path / "photos" / f"{name}.png")
    write(tmp_path, PRODUCTS)
    return tmp_path


def write(root, entries, **head):
    counts = {split: sum(p["split"] == split for p in entries) for split in ("train", "val")}
    lines = [{"format": 1, "images": "photos", "attributes": ["colour"], "products": counts, **head}]
    lines += [{"id": "x", "title": f"Shirt {p['row']}", "description": "", **p} for p in entries]
    (root / "catalogue.jsonl").write_text("\n".join(map(json.dumps, lines)))


def test_products_are_in_the_file_s_order(root):
    files = read_catalogue(root)
    assert list(files) == ["train", "val"]
    train = files["train"]
    assert train.product_ids.tolist() == [7, 2] and train.product_ids.dtype == np.int64
    assert train.row_product.tolist() == [0, 0, 1]
    assert train.texts == {"title": ["Shirt 7", "Shirt 2"], "description": ["", ""], "colour": ["red", ""]}
    assert [train.image(row).getpixel((0, 0))[0] for row in range(3)] == [0, 50, 100]


def test_products_without_the_needed_attribute_are_left_out(root):
    assert read_catalogue(root, needs="colour")["train"].product_ids.tolist() == [7]
    with pytest.raises(UserError, match="`label` of the dataset is 'fabric', but .* has the attributes colour: set"):
        read_catalogue(root, needs="fabric")


def test_a_split_without_products_is_left_out(root):
    write(root, PRODUCTS[:1])
    assert list(read_catalogue(root)) == ["train"]


def test_a_damaged_photograph_is_named(root):
    (root / "photos" / "c.png").write_bytes(b"none")
    with pytest.raises(UserError, match=r"photos/c.png cannot be read: .*: put it back, or prepare the catalogue"):
        read_catalogue(root)["train"].image(2)


def test_a_damaged_catalogue_is_named(root):
    write(root, PRODUCTS, products={"train": 9})
    with pytest.raises(UserError, match=r"catalogue.jsonl is damaged \(.*\): prepare the catalogue again"):
        read_catalogue(root)
