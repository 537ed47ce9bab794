import json

import pytest
from PIL import Image

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.fashioniq import check_fashioniq, write_missing


@pytest.fixture
def root(tmp_path):
    """Two requests of each class and split; a dress is missing, a shirt is damaged."""
    root = tmp_path / "fashioniq"
    for folder in ("captions", "image_splits", "images"):
        (root / folder).mkdir(parents=True)
    for garment in ("dress", "shirt", "toptee"):
        for split in ("train", "val"):
            names = [f"{garment}_{split}_{i}" for i in range(3)]
            requests = [
                {"candidate": names[i], "target": names[i + 1], "captions": ["is red", "is long"]} for i in range(2)
            ]
            (root / "captions" / f"cap.{garment}.{split}.json").write_text(json.dumps(requests))
            (root / "image_splits" / f"split.{garment}.{split}.json").write_text(json.dumps(names))
            for name in names:
                Image.new("RGB", (20, 30)).save(root / "images" / f"{name}.jpg")
    (root / "images" / "dress_train_0.jpg").unlink()
    (root / "images" / "shirt_val_1.jpg").write_bytes(b"broken")
    return root


def test_what_is_missing_is_listed(root, tmp_path):
    found = {(part.garment, part.split): part for part in check_fashioniq(root)}
    assert len(found) == 6 and all((part.requests, part.images) == (2, 3) for part in found.values())
    assert {key: part.usable for key, part in found.items() if part.usable < 2} == {
        ("dress", "train"): 1,
        ("shirt", "val"): 0,
    }
    assert found["dress", "train"].problems == {"dress_train_0": "is missing"}
    assert found["shirt", "val"].problems["shirt_val_1"].startswith("cannot be read: it is not an image")
    assert write_missing(list(found.values()), tmp_path / "list.txt") == 2
    lines = (tmp_path / "list.txt").read_text().splitlines()
    assert lines[0] == "dress\ttrain\tdress_train_0\tis missing" and lines[1].startswith("shirt\tval\tshirt_val_1\t")


def test_nothing_missing_writes_no_list(root, tmp_path):
    for name in ("dress_train_0", "shirt_val_1"):
        Image.new("RGB", (20, 30)).save(root / "images" / f"{name}.jpg")
    assert write_missing(check_fashioniq(root), tmp_path / "list.txt") == 0
    assert not (tmp_path / "list.txt").exists()


def test_the_command(root, tmp_path, capsys):
    main(["prepare", "fashioniq", "--root", str(root), "--check", "--missing", str(tmp_path / "list.txt")])
    said = capsys.readouterr().out
    assert "dress train: 1 of 2 requests can be used; 3 images, 1 missing or damaged" in said
    assert str(tmp_path / "list.txt") in said


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="is missing: get captions"):
        check_fashioniq(tmp_path)
