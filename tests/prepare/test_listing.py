import os

import pytest

from fashionfae_lavis.prepare.listing import Listing, meant_file, not_found

FILES = ["15970.JPG", "7.jpg", "7.png", "Coat.jpg", "a.jpg", "A.jpg", "notes.txt", "v1.5.png", "x.JPG", "x.Jpg"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("15970.jpg", "15970.JPG"),
        ("15970", "15970.JPG"),
        ("coat.JPG", "Coat.jpg"),
        ("COAT", "Coat.jpg"),
        ("v1.5", "v1.5.png"),
        ("v1", None),
        ("A.JPG", "A.jpg"),
        ("7", None),  # two files
        ("x.jpg", None),
        ("15970.jpeg", None),
        ("1597", None),
        ("notes", None),
        ("", None),
    ],
)
def test_the_file_that_a_name_means(name, meant):
    assert Listing(FILES).meant(name) == meant


def test_names_that_are_there_instead():
    there = Listing([*(f"{i}.jpg" for i in range(100, 400)), "red-shirt.png"])
    assert there.instead_of("150.png") == ["150.jpg"]
    assert there.instead_of("red-shirts.png") == ["red-shirt.png"]
    assert there.instead_of("39") == ["390.jpg", "391.jpg", "392.jpg", "393.jpg"]
    assert there.instead_of("hat.webp") == ["100.jpg", "101.jpg", "102.jpg", "103.jpg"]
    assert Listing().instead_of("hat.webp") == []


def test_a_large_folder_is_searched_without_comparing_every_name(monkeypatch):
    there = Listing(f"{i}.jpg" for i in range(100_000))
    compared = []
    monkeypatch.setattr("fashionfae_lavis.prepare.listing.nearest", lambda name, known: compared.extend(known))
    assert there.instead_of("x15970.png") and len(compared) <= 20
    assert there.meant("15970") == "15970.jpg"


def test_a_missing_file_is_described(tmp_path):
    photos = tmp_path / "photos"
    (photos / "Acme").mkdir(parents=True)
    for name in ("Acme/12.png", "Acme/12_b.png", "7.jpg"):
        (photos / name).touch()
    assert not_found("Acme/12.jpg", photos) == "no file 12.jpg in Acme; there are 12.png, 12_b.png"
    assert not_found("7.png", photos) == "no file 7.png in photos; there is 7.jpg"
    assert not_found("Acmes/7.jpg", photos) == "no folder Acmes in photos; there is Acme"
    assert not_found("../secret.jpg", photos).startswith("no folder .. in photos")
    assert meant_file("Acme/12_B", photos) == "Acme/12_b.png" and meant_file("../photos/7", photos) == "../photos/7.jpg"
    (photos / "7.jpg").unlink()
    os.rename(photos / "Acme", tmp_path / "Acme")
    assert meant_file("../Acme/12_b", photos) is None
