import os

import pytest
from PIL import Image

from fashionfae_lavis.errors import UserError
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


@pytest.mark.parametrize("pattern", ["{sku:d}.jpg", "{sku!r}.jpg", "{sku.jpg", "sku}.jpg"])
def test_a_malformed_pattern_is_one_sentence(tmp_path, pattern):
    with pytest.raises(UserError, match=r"--pattern .* is malformed \(.*\): write it like {sku}_\*.jpg"):
        Pattern(pattern, tmp_path, ["sku"])


def test_a_column_s_name_is_not_python(tmp_path):
    (tmp_path / "7.jpg").touch()
    assert Pattern("{a.b}.jpg", tmp_path, ["a.b"]).images({"a.b": "7"}) == ["7.jpg"]
    with pytest.raises(UserError, match="the table has no column sku.__class__"):
        Pattern("{sku.__class__}.jpg", tmp_path, ["sku"])


@pytest.mark.parametrize("value", ["..", "/", "out", "x" * 300, "nul\0", "7.jpg"])
def test_a_pattern_lists_nothing_outside_the_image_folder(tmp_path, value):
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in (photos / "7.jpg", tmp_path / "secret.jpg"):
        path.touch()
    (photos / "out").symlink_to("..")
    assert Pattern("{sku}/*.jpg", photos, ["sku"]).images({"sku": value}) == []


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
