import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.datasets.datasets.photographs import read_photograph
from fashionfae_lavis.prepare.images import Pattern, image_problem, listed_images
from fashionfae_lavis.prepare.texts import Spellings, plain_text


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


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Soft<br/>wool</p>", "Soft wool"),
        ("&lt;b&gt;Bold&lt;/b&gt; &amp;amp; warm", "Bold & warm"),
        ("sizes < 40 and > 30", "sizes < 40 and > 30"),
        ("<style>p {a: b}</style>kept<!-- not -->", "kept"),
        ("two\n lines\tand\xa0more", "two lines and more"),
    ],
)
def test_plain_text(text, plain):
    assert plain_text(text) == plain


def test_one_spelling_for_each_value():
    spellings = Spellings(["colour", "fabric"])
    assert [spellings.of("colour", value) for value in ("Navy Blue", "navy-blue", "NAVY BLUE!", "Red", "-")] == [
        "Navy Blue",
        "Navy Blue",
        "Navy Blue",
        "Red",
        "",
    ]
    assert spellings.of("fabric", "navy blue") == "navy blue" and spellings.changed == 2


def test_sixteen_bits_become_eight(tmp_path):
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert (np.asarray(read_photograph(tmp_path / "deep.png"))[..., 0] == ramp >> 8).all()


def test_what_pillow_thinks_too_large_is_reported(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "vast.png")
    assert "exceeds limit" in image_problem(tmp_path / "vast.png")
