import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import ImageFile
from prepare.dirty_shop import OPTIONS, photograph, write_dirty_shop

from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import catalogue
from fashionfae_lavis.prepare.catalogue import prepare_catalogue


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_dirty_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module", params=[False, True], ids=["strict Pillow", "lenient Pillow"])
def prepared(shop, tmp_path_factory, request):
    """Lets Pillow read truncated files, as an import of LAVIS does, which must make no difference."""
    out = tmp_path_factory.mktemp("out")
    before = fingerprint(shop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
        summary = prepare_catalogue(shop / "shop.csv", shop / "photos", out, **OPTIONS, max_bad=0.6)
    assert fingerprint(shop) == before  # nothing of the user's was touched
    return summary


def fingerprint(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def lines_of(summary):
    return [json.loads(line) for line in summary.path.read_text(encoding="utf-8").splitlines()]


def test_what_is_bad_is_reported_by_row(prepared):
    with open(prepared.path.parent / "rejected.csv", encoding="utf-8", newline="") as file:
        report = [tuple(row.values()) for row in csv.DictReader(file)]
    assert [row[:3] + row[4:] for row in report] == [
        ("9", "a8", "empty.jpg", "yes"),
        ("9", "a8", "absent.jpg", "yes"),
        ("12", "b1", "absent.jpg", "no"),
        ("13", "b2", "empty.jpg", "no"),
        ("14", "b3", "half.jpg", "no"),
        ("15", "b4", "text.jpg", "no"),
        ("16", "b5", "pixel.png", "no"),
        ("17", "b6", "banner.png", "no"),
        ("18", "b7", "", "no"),
        ("19", "a1", "", "no"),
        ("20", "", "", "no"),
        ("21", "", "", "no"),
        ("22", "b9", "", "no"),
        ("23", "b10", "https://shop.example/1.jpg", "no"),
    ]
    problems = [row[3] for row in report]
    assert problems[:4] == ["is an empty file", "is missing", "is missing", "is an empty file"]
    assert problems[4].startswith("cannot be read: image file is truncated")
    assert problems[5] == "cannot be read: it is not an image in one of the formats JPEG, PNG, WEBP, GIF, BMP, TIFF"
    assert problems[6:8] == [
        "is too small: 1 x 1 pixels",
        "is not a photograph of a product: 12000 x 20 pixels",
    ]
    assert problems[8:] == [
        "no text",
        "duplicate id",
        "no id",
        "has 3 cells where the header has 6",
        "no image",
        "is a web address",
    ]


def test_what_is_good_is_kept(prepared):
    head, *products = lines_of(prepared)
    assert head["attributes"] == ["main colour", "fabric"]
    assert [product["id"] for product in products] == [f"a{i}" for i in range(1, 11)]
    assert [product["row"] for product in products] == list(range(2, 12))
    assert products[0]["description"] == 'Long, with a "V" neck; and a belt'
    assert products[1]["description"] == "Soft cotton & linen"
    assert (products[2]["title"], products[2]["description"]) == ("Übergröße", "Größe 38 für Café")
    assert [product["fields"].get("main colour", "") for product in products[:5]] == [
        "Red",
        "navy blue",
        "navy blue",
        "",
        "Red",
    ]
    assert "main colour" not in products[8]["fields"]  # n/a
    assert [product["images"] for product in products[7:]] == [["nine.jpg"], ["sub/x y.jpg", "ten.jpg"], ["ten.jpg"]]
    assert (prepared.rows, prepared.unusable, prepared.left_out, prepared.images) == (22, 12, 2, 12)
    assert prepared.products == head["products"] == {"train": 9, "val": 1}
    assert prepared.decode_fallbacks == 7 and prepared.respelled == 1
    assert prepared.values == {"main colour": 2, "fabric": 3}
    assert sum(prepared.problems.values()) == prepared.unusable and prepared.problems["image is missing"] == 1


def test_photographs_are_upright_on_white_and_of_a_useful_size(prepared):
    files = read_catalogue(prepared.path.parent)
    images = {}
    for file in files.values():
        for row, product in enumerate(file.row_product):
            images.setdefault(int(file.product_ids[product]), file.image(row))
    assert {image.mode for image in images.values()} == {"RGB"}
    assert images[6].size == (60, 80)  # its file holds 80 x 60
    transparent = np.asarray(images[5])
    assert (transparent[:20] == 255).all() and (transparent[20:] == (255, 0, 0)).all()
    assert images[7].size == (1500, 1500)
    cmyk, reference = (np.asarray(image, dtype=int) for image in (images[4], photograph(10)))
    assert abs(cmyk - reference).mean() < 12


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_input_gives_the_same_files(shop, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "all_cores", lambda: 5)
    monkeypatch.setattr(catalogue, "CHUNK", 2)
    prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.6)
    assert digest(tmp_path) == digest(prepared.path.parent)


def test_too_many_bad_rows_stop_it_and_the_report_stays(shop, tmp_path):
    with pytest.raises(
        UserError, match=r"12 of 22 rows cannot be used \(.*\): correct the rows listed in .*rejected.csv"
    ) as e:
        prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.5)
    assert "\n" not in str(e.value) and "--max-bad" in str(e.value)
    assert [path.name for path in tmp_path.iterdir()] == ["rejected.csv"]


def small_shop(folder, products=12, header="id,title,image,split,material", split=lambda i: ""):
    (folder / "photos").mkdir(exist_ok=True)
    rows = [header]
    for i in range(products):
        photograph(i, (20, 20)).save(folder / "photos" / f"{i}.jpg")
        rows.append(f"{i},Shirt {i},{i}.jpg,{split(i)},{('wool', 'silk')[i % 2]}")
    (folder / "shop.csv").write_text("\n".join(rows))
    return folder / "shop.csv", folder / "photos"


def splits(out):
    return {
        product["id"]: product["split"] for product in map(json.loads, open(out / "catalogue.jsonl").readlines()[1:])
    }


def test_a_column_may_say_the_split(tmp_path):
    table, photos = small_shop(tmp_path, split=lambda i: ("Train", "training", "validation", "TEST")[i % 4])
    summary = prepare_catalogue(table, photos, tmp_path / "out")
    assert summary.products == {"train": 6, "val": 3, "test": 3}
    assert [splits(tmp_path / "out")[str(i)] for i in range(4)] == ["train", "train", "val", "test"]


def test_the_drawn_split_follows_seed_and_product(tmp_path):
    header = "id,title,image,nothing,material"
    table, photos = small_shop(tmp_path, 40, header)
    drawn = []
    for seed in (0, 0, 1):
        assert prepare_catalogue(table, photos, tmp_path / "out", validation=0.25, seed=seed).products == {
            "train": 30,
            "val": 10,
        }
        drawn.append(splits(tmp_path / "out"))
    assert drawn[0] == drawn[1] != drawn[2]
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *reversed(lines[1:])]))  # order does not matter
    prepare_catalogue(table, photos, tmp_path / "out", validation=0.25)
    assert splits(tmp_path / "out") == drawn[0]
    small_shop(tmp_path, 44, header)  # four products more move next to nobody
    prepare_catalogue(table, photos, tmp_path / "out", validation=0.25)
    moved = [i for i, split in drawn[0].items() if splits(tmp_path / "out")[i] != split]
    assert len(moved) <= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"title": "nome"}}, r"--map title=nome: .* lacks this column; use one of id, title, image"),
        (
            {"columns": {"name": "title"}},
            r"--map name=\.\.\.: use one of id, title, description, image, split instead of name",
        ),
        ({"attributes": {"colour": "hue"}}, "--attributes colour=hue: .* lacks this column"),
        ({"attributes": {"Title": "title"}}, "--attributes Title: give the attribute a name in words other than"),
        ({"validation": 1.5}, "--validation is 1.5"),
        ({"pattern": "{sku}.jpg"}, r"--pattern \{sku\}.jpg: the table has no column sku"),
        ({"pattern": "*.jpg"}, "must have a column in braces"),
        ({"pattern": "*/{id}.jpg"}, "wildcards only after the last /"),
    ],
)
def test_mistakes_are_named(tmp_path, options, message):
    table, photos = small_shop(tmp_path, 2)
    with pytest.raises(UserError, match=message):
        prepare_catalogue(table, photos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_missing_columns_and_folders_are_named(tmp_path):
    table, photos = small_shop(tmp_path, 2, "id,a,b,c,d")
    with pytest.raises(
        UserError, match="has no column called title or description: name one of its columns .* with --map title=COLUMN"
    ):
        prepare_catalogue(table, photos, tmp_path / "out")
    with pytest.raises(
        UserError, match="no column called image: name one of its columns .* with --map image=COLUMN, or --pattern"
    ):
        prepare_catalogue(table, photos, tmp_path / "out", {"title": "a"})
    with pytest.raises(UserError, match="is not a folder"):
        prepare_catalogue(table, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="Cannot create the folder"):
        prepare_catalogue(table, photos, tmp_path / "out", {"title": "a"}, pattern="{id}.jpg")


def test_a_full_disk_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    """Every write to /dev/full fails as on a full disk."""
    table, photos = small_shop(tmp_path, 3, "id,title,image,nothing,material")
    out = tmp_path / "out"
    out.mkdir()
    (out / "catalogue.jsonl").write_text("the one before")
    for name in ("catalogue.jsonl.tmp", "catalogue.jsonl.tmp.part", "rejected.csv.tmp"):
        (out / name).symlink_to("/dev/full")
        with pytest.raises(UserError, match=r"Cannot write .*No space left on device.*: free some space"):
            prepare_catalogue(table, photos, out)
        assert (out / "catalogue.jsonl").read_text() == "the one before"
        assert not [path for path in out.iterdir() if "tmp" in path.name]


def test_a_killed_run_is_made_good_by_the_next(tmp_path):
    table, photos = small_shop(tmp_path, 1500, "id,title,image,nothing,material")
    program = (
        "import sys, time; from fashionfae_lavis.prepare import catalogue, images\n"
        "look = catalogue.image_problem\n"
        "catalogue.image_problem = lambda *file: time.sleep(0.003) or look(*file)\n"
        "catalogue.prepare_catalogue(*sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, table, photos, tmp_path / "out"], stderr=subprocess.DEVNULL
    )
    part = tmp_path / "out" / "catalogue.jsonl.tmp.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert part.exists() and not (tmp_path / "out" / "catalogue.jsonl").exists()
    prepare_catalogue(table, photos, tmp_path / "out")
    prepare_catalogue(table, photos, tmp_path / "fresh")
    assert digest(tmp_path / "out") == digest(tmp_path / "fresh")


def test_a_worker_that_dies_is_one_sentence(tmp_path, monkeypatch):
    table, photos = small_shop(tmp_path, 3, "id,title,image,nothing,material")
    monkeypatch.setattr(catalogue, "image_problem", lambda *file: os._exit(1))
    with pytest.raises(UserError, match="a process that checks images died near row 2"):
        prepare_catalogue(table, photos, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
