"""Reading of FashionViL's layout."""

import json
import logging

import numpy as np
import pytest
from fashionvil_layouts import SPLITS, products, write_split
from PIL import Image

from fashionfae_lavis.datasets.datasets.fashionvil_file import read_fashionvil
from fashionfae_lavis.errors import UserError


def write(folder, name, entries, images=None):
    write_split(folder, "train", images or SPLITS[name]["train"], entries)
    return folder


def test_words_become_fields_and_numbers_do_not(tmp_path):
    file = read_fashionvil(write(tmp_path, "FashionGen", products("FashionGen", 3)), "train")
    assert list(file.texts) == [
        *("title", "description", "category", "sub category", "gender", "season", "composition"),
    ]
    assert file.texts["gender"] == ["Women", "Men", "Women"] and file.texts["sub category"] == ["SHIRTS"] * 3
    assert file.product_ids.tolist() == [0, 1, 2] and file.product_ids.dtype == np.int64
    assert file.row_product.tolist() == [0, 0, 1, 1, 2, 2]
    assert [file.image(row).getpixel((0, 0))[0] for row in (0, 3, 5)] == [0, 5, 10]


def test_facad_has_a_colour(tmp_path):
    file = read_fashionvil(write(tmp_path, "BigFACAD", products("BigFACAD", 3)), "train")
    assert list(file.texts) == ["title", "description", "colour"] and file.texts["colour"] == ["", "dark green", ""]
    assert file.row_product.tolist() == [0, 1, 1, 2, 2, 2]


def test_classes_of_fashion200k_are_in_its_paths_and_there_is_no_description(tmp_path):
    folder = write(tmp_path, "Fashion200k", products("Fashion200k", 2))
    file = read_fashionvil(folder, "train", classes_in_paths=True)
    assert file.texts["category"] == ["tops", "dresses"] and file.texts["sub category"] == ["long sleeved tops"] * 2
    assert file.texts["description"] == ["", ""]
    assert list(read_fashionvil(folder, "train").texts) == ["title", "description"]


def test_words_in_the_file_count_more_than_those_in_a_path(tmp_path):
    entries = [{"images": "tops/tees/0.png", "title": "tee", "id": 1, "category": "T-SHIRTS"}]
    texts = read_fashionvil(write(tmp_path, "Fashion200k", entries), "train", classes_in_paths=True).texts
    assert texts["category"] == ["T-SHIRTS"] and texts["sub category"] == ["tees"]
    entries = [{"images": "tops/0.png", "title": "tee", "id": 1}]
    texts = read_fashionvil(write(tmp_path, "Fashion200k", entries), "train", classes_in_paths=True).texts
    assert texts["category"] == ["tops"] and "sub category" not in texts


def test_one_image_may_be_a_string(tmp_path):
    file = read_fashionvil(write(tmp_path, "PolyvoreOutfits", products("PolyvoreOutfits", 2)), "train")
    assert file.row_product.tolist() == [0, 1] and list(file.texts) == ["title", "description"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [(["12", 9], [12, 9]), (["a12", 9], [0, 1]), ([None, 9], [0, 1]), ([True, 9], [0, 1]), ([2**70, 9], [0, 1])],
)
def test_ids_are_numbers_or_else_places(tmp_path, ids, expected):
    entries = products("BigFACAD", 2)
    folder = write(tmp_path, "BigFACAD", entries)
    for entry, number in zip(entries, ids, strict=True):
        entry["id"] = number
    (folder / "train_info.json").write_text(json.dumps(entries))
    assert read_fashionvil(folder, "train").product_ids.tolist() == expected


def test_what_is_no_text_is_no_prompt(tmp_path):
    entries = products("FashionGen", 2)
    for entry in entries:
        entry.update(category=4, season=None, gender="", unknown={"a": 1}, description=None)
    texts = read_fashionvil(write(tmp_path, "FashionGen", entries), "train").texts
    assert list(texts) == ["title", "description", "sub category", "composition"] and texts["description"] == ["", ""]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"title": "t"}, "entry 1 .* needs `images`, a path or a list of paths, not null"),
        ({"title": "t", "images": []}, r"entry 1 .* needs `images`, a path or a list of paths, not \[\]"),
        ({"title": "t", "images": ["a.png", 3]}, r'entry 1 .* needs `images`, .* not \["a.png", 3\]'),
        ({"images": ["0_0.png"]}, "entry 1 .* needs `title`, a text, not null"),
        ({"images": ["0_0.png"], "title": ["t"]}, "entry 1 .* needs `title`, a text, not"),
        (["t"], r'entry 1 .* must be a product .* but is \["t"\]'),
    ],
)
def test_an_entry_that_lacks_what_it_needs_is_named(tmp_path, entry, message):
    folder = write(tmp_path, "FashionGen", products("FashionGen", 1))
    (folder / "train_info.json").write_text(json.dumps([*products("FashionGen", 1), entry]))
    with pytest.raises(UserError, match=f"train_info.json: {message}") as caught:
        read_fashionvil(folder, "train")
    assert "\n" not in str(caught.value)


def test_files_and_folders_that_are_missing_or_damaged(tmp_path):
    folder = tmp_path / "BigFACAD"
    with pytest.raises(
        UserError, match="BigFACAD/val_info.json is missing: .*`build_info.images.storage` .* that contains BigFACAD"
    ):
        read_fashionvil(folder, "val")
    folder.mkdir()
    for content, message in (
        ('[{"images"', "is damaged .*: copy the file again"),
        ("[]", "holds an empty list instead of"),
        ("{}", "holds a dict instead of FashionViL's list of products"),
    ):
        (folder / "val_info.json").write_text(content)
        with pytest.raises(UserError, match=f"val_info.json {message}"):
            read_fashionvil(folder, "val")
    (folder / "val_info.json").write_text(json.dumps(products("BigFACAD", 1)))
    with pytest.raises(UserError, match=r"has no image folder for val_info.json \(images, val, women\)"):
        read_fashionvil(folder, "val")


def test_missing_images_are_counted_named_and_left_out_if_that_is_allowed(tmp_path, caplog):
    folder = write(tmp_path, "Fashion200k", products("Fashion200k", 4))
    entries = products("Fashion200k", 4)
    entries[0]["images"] *= 2
    entries[0]["images"][0] = "tops/gone/0.jpeg"
    (folder / "women" / entries[3]["images"][0]).unlink()
    (folder / "train_info.json").write_text(json.dumps(entries))
    with pytest.raises(
        UserError,
        match="2 of 5 images of .* are not in .*women .tops/gone/0.jpeg, .*set `allow_missing` of the dataset",
    ):
        read_fashionvil(folder, "train")
    with caplog.at_level(logging.WARNING):
        file = read_fashionvil(folder, "train", allow_missing=True)
    assert "1 of 4 products are left out" in caplog.text
    assert file.product_ids.tolist() == [0, 1, 2] and file.row_product.tolist() == [0, 1, 2]
    assert [file.image(row).getpixel((0, 0))[0] for row in range(3)] == pytest.approx([0, 5, 10], abs=2)  # a JPEG

    (folder / "train_info.json").write_text(json.dumps(entries[3:]))
    with pytest.raises(UserError, match="1 of 1 images .*, which leaves no product"):
        read_fashionvil(folder, "train", allow_missing=True)


def test_an_image_that_is_none_is_named(tmp_path):
    folder = write(tmp_path, "PolyvoreOutfits", products("PolyvoreOutfits", 2))
    (folder / "images" / "1.jpg").write_bytes(b"not an image")
    with pytest.raises(UserError, match="images/1.jpg cannot be read: .*: copy the file again"):
        read_fashionvil(folder, "train").image(1)


def test_images_outside_the_folder_are_missing_from_it(tmp_path):
    entries = products("PolyvoreOutfits", 2)
    folder = write(tmp_path, "PolyvoreOutfits", entries)
    Image.new("RGB", (20, 20)).save(folder / "secret.jpg")
    for name in ("../secret.jpg", str(folder / "secret.jpg"), "x" * 300 + "/a.jpg", "nul\0/a.jpg"):
        (folder / "train_info.json").write_text(json.dumps([entries[0], {**entries[1], "images": [name]}]))
        with pytest.raises(UserError, match="1 of 2 images of .*train_info.json are not in .*images"):
            read_fashionvil(folder, "train")
    (folder / "images" / "link.jpg").symlink_to("../secret.jpg")
    (folder / "train_info.json").write_text(json.dumps([{**entries[1], "images": ["link.jpg"]}]))
    with pytest.raises(UserError, match="link.jpg is outside the image folder"):
        read_fashionvil(folder, "train").image(0)


def test_an_id_of_thousands_of_digits_is_no_number(tmp_path):
    entries = products("PolyvoreOutfits", 2)
    folder = write(tmp_path, "PolyvoreOutfits", entries)
    (folder / "train_info.json").write_text(json.dumps([{**entry, "id": "9" * 5000} for entry in entries]))
    assert read_fashionvil(folder, "train").product_ids.tolist() == [0, 1]
