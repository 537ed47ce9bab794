import os
import re

import pytest
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.cells import CellError
from fashionfae_lavis.prepare.images import Pattern, image_problem, listed_images


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ("a.jpg", ["a.jpg"]),
        ("a.jpg|b.jpg | a.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg;b.jpg\nc.jpg", ["a.jpg", "b.jpg", "c.jpg"]),
        ("a.jpg, b.PNG", ["a.jpg", "b.PNG"]),
        ("red, green.jpg", ["red, green.jpg"]),  # a name with a comma
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"]),
        (["a.jpg", None, "b.jpg"], ["a.jpg", "b.jpg"]),
        ("[1].jpg", ["[1].jpg"]),
        ("", []),
        (None, []),
    ],
)
def test_the_images_in_a_cell(cell, images):
    assert listed_images(cell) == images


def test_images_by_a_pattern(tmp_path):
    (tmp_path / "Acme").mkdir()
    for name in ("12.jpg", "12_a.jpg", "12_b.png", "12_notes.txt", "121_a.jpg", "Acme/7.jpg", "[x]_1.jpg", "x_1.jpg"):
        (tmp_path / name).touch()
    columns = ["sku", "brand"]

    def found(pattern, **cells):
        return Pattern(pattern, tmp_path, columns).images(cells)

    assert found("{sku}_*", sku=12) == ["12_a.jpg", "12_b.png"]
    assert found("{sku}*.jpg", sku="12") == ["12.jpg", "121_a.jpg", "12_a.jpg"]
    assert found("{brand}/{sku}.jpg", sku="7", brand="Acme") == ["Acme/7.jpg"]
    assert found("{sku}_?.jpg", sku="[x]") == ["[x]_1.jpg"]  # a value has no wildcards
    assert found("{sku}_*", sku="") == found("{brand}/{sku}.jpg", sku="7", brand="Nobody") == []


def test_too_many_pixels_are_reported(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "vast.png")
    assert image_problem("vast.png", tmp_path).startswith("is too large: ")


def test_a_pattern_lists_nothing_behind_a_link_out_of_the_folder(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "secret.jpg").touch()
    (photos / "out").symlink_to("..")
    assert Pattern("{sku}/*.jpg", photos, ["sku"]).images({"sku": "out"}) == []


def test_an_unreadable_folder_has_no_images(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert Pattern("{sku}*", tmp_path, ["sku"]).images({"sku": "7"}) == []


def test_a_file_outside_the_folder_is_reported(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link.png").symlink_to("../secret.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "secret.png")
    for name in ("../secret.png", "link.png", str(tmp_path / "secret.png")):
        assert image_problem(name, tmp_path / "photos") == f"is outside the image folder {tmp_path / 'photos'}"
    assert image_problem("secret.png", tmp_path) == ""


@pytest.mark.parametrize(
    "pattern", ["{sku:d}.jpg", "{sku!r}.jpg", "{0}.jpg", "{}.jpg", "{a.b}.jpg", "{a[0]}.jpg", "{sku"]
)
def test_a_pattern_with_more_than_columns_is_one_sentence(tmp_path, pattern):
    with pytest.raises(UserError, match=f"--pattern {re.escape(pattern)}"):
        Pattern(pattern, tmp_path, ["sku"])


def test_a_column_may_have_any_name(tmp_path):
    (tmp_path / "x-y.jpg").touch()
    assert Pattern("{0}-{a[0]}.jpg", tmp_path, ["0", "a[0]"]).images({"0": "x", "a[0]": "y"}) == ["x-y.jpg"]


@pytest.mark.parametrize("pattern", ["../{sku}.jpg", "/{sku}.jpg", "a/../../{sku}.jpg"])
def test_a_pattern_may_not_lead_out_of_the_folder(tmp_path, pattern):
    with pytest.raises(UserError, match="leads out of the image folder"):
        Pattern(pattern, tmp_path, ["sku"])


def test_a_value_may_not_lead_out_of_the_folder(tmp_path):
    folder = tmp_path / "images"
    (folder / "2020" / "05").mkdir(parents=True)
    (folder / "2020" / "05" / "a.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    pattern = Pattern("{place}/*.jpg", folder, ["place"])
    assert pattern.images({"place": "2020/05"}) == ["2020/05/a.jpg"]
    for place in ("../images", "2020/../..", str(tmp_path)):
        with pytest.raises(CellError, match="leads out of the image folder"):
            pattern.images({"place": place})
    assert Pattern("{name}.jpg", folder, ["name"]).images({"name": "../secret"}) == []
    for place in ("..", "/", "a" * 300, "\0", "2020/05/a.jpg"):  # names that no folder has
        assert pattern.images({"place": place}) == []


def test_a_cell_that_names_images_without_sense():
    assert listed_images("[" * 100_000) == ["[" * 100_000]
    with pytest.raises(CellError, match="names more than 1000 images"):
        listed_images("|".join(map(str, range(1001))))
