import json
import os

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


@pytest.mark.parametrize(
    ("number", "edit", "reason"),
    [
        (1, lambda line: "[]", "line 1: Input should be a valid dictionary"),
        (1, lambda line: line.replace('"photos"', "3"), "line 1: images: Input should be a valid string"),
        (1, lambda line: line.replace('["colour"]', '"colour"'), "line 1: attributes: Input should be a valid list"),
        (
            1,
            lambda line: line.replace('"train": 2', '"train": "2"'),
            "line 1: products.train: Input should be a valid int",
        ),
        (1, lambda line: line.replace('"images"', '"folder"'), "line 1: images: Field required"),
        (1, lambda line: line.replace('"train"', '"training"'), "line 2: the first line has no split 'train'"),
        (2, lambda line: line[:-20], "line 2: Invalid JSON: EOF"),
        (3, lambda line: "", "line 3: Invalid JSON: EOF"),
        (3, lambda line: "null", "line 3: Input should be an object"),
        (3, lambda line: line.replace('"row": 3', '"row": "3"'), "line 3: row: Input should be a valid integer"),
        (3, lambda line: line.replace('"row": 3', f'"row": {2**63}'), "line 3: row: Input should be less than"),
        (3, lambda line: line.replace('"row": 3', '"row": 7'), "line 3: another product has row 7"),
        (3, lambda line: line.replace('["b.png"]', '"b.png"'), "line 3: images: Input should be a valid array"),
        (3, lambda line: line.replace('["b.png"]', "[]"), "line 3: images: List should have at least 1 item"),
        (3, lambda line: line.replace('"b.png"', "null"), "line 3: images.0: Input should be a valid string"),
        (3, lambda line: line.replace('"blue"', "7"), "line 3: fields.colour: Input should be a valid string"),
        (3, lambda line: line.replace('"title"', '"name"'), "line 3: title: Field required"),
        (3, lambda line: line.replace("blue", "\\ud800"), "line 3: Invalid JSON"),
        (3, lambda line: "[" * 100_000, "line 3: Invalid JSON: recursion limit exceeded"),
        (4, lambda line: line + "\n" + line, "line 5: another product has row 2"),
        (4, lambda line: line + "\n", "line 5: Invalid JSON"),
    ],
)
def test_a_catalogue_that_was_edited_is_one_sentence(root, number, edit, reason):
    path = root / "catalogue.jsonl"
    lines = path.read_text().splitlines()
    lines[number - 1] = edit(lines[number - 1])
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(
        UserError, match=rf"catalogue.jsonl is damaged \({reason}.*\): prepare the catalogue again\.$"
    ) as e:
        read_catalogue(root)
    assert "\n" not in str(e.value)


def test_bytes_that_are_not_utf_8_are_one_sentence(root):
    path = root / "catalogue.jsonl"
    path.write_bytes(path.read_bytes().replace(b"blue", b"bl\xff"))
    with pytest.raises(UserError, match=r"is damaged \(line 3: Invalid JSON: invalid unicode"):
        read_catalogue(root)


def test_unknown_keys_are_left_to_later_versions(root):
    write(root, [{**product, "note": [1]} for product in PRODUCTS], made_by="hand")
    assert list(read_catalogue(root)) == ["train", "val"]


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_regular_file_is_named(root, kind):
    path = root / "catalogue.jsonl"
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(
        UserError, match=r"catalogue.jsonl cannot be read \(Not a regular file\): prepare the catalogue"
    ):
        read_catalogue(root)


def test_images_outside_the_folder_are_refused(root):
    Image.new("RGB", (9, 8)).save(root / "secret.png")
    (root / "photos" / "link.png").symlink_to(root / "secret.png")
    inside = str(root / "photos" / "a.png")  # absolute, as some tables have them
    names = ["../secret.png", str(root / "secret.png"), "link.png", inside]
    write(root, [{**PRODUCTS[0], "images": names}])
    train = read_catalogue(root)["train"]
    for row in range(3):
        with pytest.raises(UserError, match=rf"is outside the image folder {root}/photos: put it back, or prepare"):
            train.image(row)
    assert train.image(3).size == (9, 8)
    (root / "photos").rename(root / "disk")
    (root / "photos").symlink_to("disk")
    assert train.image(3).size == (9, 8)
