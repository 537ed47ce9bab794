import pytest
from PIL import Image

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
