import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from full_disk import full_disk
from PIL import ImageFile
from prepare.dirty_shop import OPTIONS, photograph, write_dirty_shop

from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.locks import hold
from fashionfae_lavis.prepare import image_checks
from fashionfae_lavis.prepare.catalogue import LOCK, prepare_catalogue
from fashionfae_lavis.prepare.summary import Duplicates
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.text.product_text import fashion_text


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
    missing = "is missing: no file absent.jpg in photos; there are back.jpg, banner.png, cmyk.jpg, ..."
    assert problems[:4] == ["is an empty file", missing, missing, "is an empty file"]
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
        "is a web address without a file: none is called 1.jpg",
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
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_the_same_input_gives_the_same_files(shop, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(image_checks, "all_cores", lambda: 5)
    monkeypatch.setattr(image_checks, "CHUNK", 2)
    prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.6)
    assert digest(tmp_path) == digest(prepared.path.parent)


def test_too_many_bad_rows_stop_it_and_the_report_stays(shop, tmp_path):
    with pytest.raises(
        UserError, match=r"12 of 22 rows cannot be used \(.*\): correct the rows listed in .*rejected.csv"
    ) as e:
        prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.5)
    assert "\n" not in str(e.value) and "--max-bad" in str(e.value)
    assert files_in(tmp_path) == ["rejected.csv"]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_refused_run_leaves_the_catalogue_as_it_is(shop, tmp_path):
    prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.6)
    before = digest(tmp_path)
    details = r"; in row 14, image file is truncated \(.*\)\)"
    with pytest.raises(UserError, match=rf"12 of 22 rows cannot be used \(.*{details}: .* listed in .*refused.csv"):
        prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.5)
    after = digest(tmp_path)
    assert after.pop("refused.csv") == before["rejected.csv"] and after == before
    prepare_catalogue(shop / "shop.csv", shop / "photos", tmp_path, **OPTIONS, max_bad=0.6)
    assert digest(tmp_path) == before


def test_the_files_are_replaced_together(tmp_path, monkeypatch):
    table, photos = small_shop(tmp_path, 12, "id,title,image,nothing,material")
    out = tmp_path / "out"
    prepare_catalogue(table, photos, out)
    before = digest(out)
    table.write_text(table.read_text() + "\n12,Shirt 12,absent.jpg,,wool")
    with full_disk("duplicates.csv"), pytest.raises(UserError, match="No space left on device"):
        prepare_catalogue(table, photos, out, max_bad=0.5)
    assert digest(out) == before


def test_two_preparations_do_not_write_into_one_folder(tmp_path):
    table, photos = small_shop(tmp_path, 2, "id,title,image,nothing,material")
    with (
        hold(tmp_path / "out", LOCK, "Another", "wait"),
        pytest.raises(UserError, match=r"Another preparation is running in .* or use another --out"),
    ):
        prepare_catalogue(table, photos, tmp_path / "out")
    assert files_in(tmp_path / "out") == []


def test_attributes_that_teach_nothing_are_left_out(tmp_path):
    (tmp_path / "photos").mkdir()
    photograph(0, (20, 20)).save(tmp_path / "photos" / "0.png")
    rows = [f"{i},Shirt,0.png,{('red', 'blue')[i % 2]},code {i},new," for i in range(20)]
    (tmp_path / "shop.csv").write_text("\n".join(["id,title,image,colour,code,state,empty", *rows]))
    attributes = {name: name for name in ("colour", "code", "state", "empty")}
    summary = prepare_catalogue(tmp_path / "shop.csv", tmp_path / "photos", tmp_path / "out", attributes=attributes)
    assert summary.values == {"colour": 2} and list(summary.useless) == ["code", "state", "empty"]
    head, *products = lines_of(summary)
    assert head["attributes"] == ["colour"]
    assert [product["fields"] for product in products] == [{"colour": ("red", "blue")[i % 2]} for i in range(20)]
    assert summary.duplicates.texts == 20  # as the codes no longer tell them apart
    assert files_in(tmp_path / "out") == ["catalogue.jsonl", "duplicates.csv", "rejected.csv", "vocabulary"]


def test_names_of_images_need_not_be_exact(tmp_path):
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(("a.JPG", "Coat.png", "7.webp")):
        photograph(i, (20, 20)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "broken.jpg").symlink_to("nowhere")
    rows = ["id,title,image", "1,Shirt,a.jpg", "2,Coat,coat.png", "3,Hat,7", "4,Sock,Broken.jpg"]
    (tmp_path / "shop.csv").write_text("\n".join(rows))
    summary = prepare_catalogue(tmp_path / "shop.csv", tmp_path / "photos", tmp_path / "out", max_bad=0.5)
    assert [product["images"] for product in lines_of(summary)[1:]] == [["a.JPG"], ["Coat.png"], ["7.webp"]]
    assert [row["image"] for row in report_of(tmp_path / "out")] == ["broken.jpg"]


def test_a_wrong_pattern_says_which_file_was_looked_for(tmp_path):
    table, photos = small_shop(tmp_path, 12, "id,title,nothing,more,material")
    wrong = r"12 no image; in row 2, no file 0\.png in photos; there is 0\.jpg\)"
    with pytest.raises(UserError, match=wrong):
        prepare_catalogue(table, photos, tmp_path / "out", pattern="{id}.png")
    problem = report_of(tmp_path / "out")[1]["problem"]
    assert problem == "no image: no file 1.png in photos; there are 1.jpg, 10.jpg, 11.jpg"
    prepare_catalogue(table, photos, tmp_path / "out", pattern="{id}.JPG")


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
            {"columns": {"title": "nome", "image": "foto"}, "attributes": {"colour": "hue"}, "group": ["shop"]},
            "^--map title=nome, --map image=foto, --attributes colour=hue, --group shop: .* lacks these columns; use",
        ),
        (
            {"columns": {"name": "title"}},
            r"--map name=\.\.\.: use one of id, title, description, image, split instead of name",
        ),
        ({"columns": {"name": "title", "foto": "image"}}, r"--map foto=\.\.\., name=.* instead of foto and name"),
        ({"attributes": {"colour": "hue"}}, "--attributes colour=hue: .* lacks this column"),
        ({"attributes": {"Title": "title"}}, "--attributes Title: give the attribute a name in words other than"),
        ({"validation": 1.5}, "--validation is 1.5"),
        ({"pattern": "{sku}.jpg"}, r"--pattern \{sku\}.jpg: the table has no column 'sku'"),
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
    lacking = r"no column called title or description \(--map title=COLUMN, or --title\) and none called image \(--map"
    with pytest.raises(UserError, match=f"{lacking}.* suggest --map image=b,title=a") as caught:
        prepare_catalogue(table, photos, tmp_path / "out")
    assert caught.value.options == ["--map", "image=b,title=a"]
    with pytest.raises(UserError, match=r"no column called image \(--map image=COLUMN, or --pattern\), and no --attr"):
        prepare_catalogue(table, photos, tmp_path / "out", {"title": "a"})
    with pytest.raises(UserError, match="is not a folder"):
        prepare_catalogue(table, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="Cannot create the folder"):
        prepare_catalogue(table, photos, tmp_path / "out", {"title": "a"}, pattern="{id}.jpg")


def test_a_full_disk_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    table, photos = small_shop(tmp_path, 3, "id,title,image,nothing,material")
    out = tmp_path / "out"
    out.mkdir()
    (out / "catalogue.jsonl").write_text("the one before")
    for name in ("catalogue.jsonl", "rejected.csv"):
        full = pytest.raises(UserError, match=r"Cannot write .*No space left on device.*: free some space")
        with full_disk(name), full:
            prepare_catalogue(table, photos, out)
        assert (out / "catalogue.jsonl").read_text() == "the one before"
        assert not [path for path in out.iterdir() if "tmp" in path.name]


def test_a_killed_run_is_made_good_by_the_next(tmp_path):
    table, photos = small_shop(tmp_path, 1500, "id,title,image,nothing,material")
    program = (
        "import sys, time; from fashionfae_lavis.prepare import catalogue, image_checks\n"
        "look = image_checks.checked_photograph\n"
        "image_checks.checked_photograph = lambda name, folder: time.sleep(0.003) or look(name, folder)\n"
        "catalogue.prepare_catalogue(*sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, table, photos, tmp_path / "out"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    parts = []
    while not any(part.stat().st_size for part in parts) and process.poll() is None and time.monotonic() < deadline:
        parts = list((tmp_path / "out").glob("catalogue.jsonl.*.part.tmp"))
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert parts and not (tmp_path / "out" / "catalogue.jsonl").exists()
    prepare_catalogue(table, photos, tmp_path / "out")
    prepare_catalogue(table, photos, tmp_path / "fresh")
    for path in (tmp_path / "out").glob("*.tmp"):  # the next run removes them if they are older than a day
        path.unlink()
    assert digest(tmp_path / "out") == digest(tmp_path / "fresh")


def test_a_worker_that_dies_is_one_sentence(tmp_path, monkeypatch):
    table, photos = small_shop(tmp_path, 3, "id,title,image,nothing,material")
    monkeypatch.setattr(image_checks, "checked_photograph", lambda name, folder: os._exit(1))
    with pytest.raises(UserError, match="a process that checks images died near row 2"):
        prepare_catalogue(table, photos, tmp_path / "out")
    assert files_in(tmp_path / "out") == []


def json_shop(folder, *products):
    """Writes a table of JSON lines with a photograph for each product that names none."""
    (folder / "photos").mkdir(exist_ok=True)
    lines = []
    for i, product in enumerate(products):
        photograph(i, (20, 20)).save(folder / "photos" / f"{i}.png")
        lines.append(json.dumps({"id": str(i), "title": f"Shirt {i}", "image": f"{i}.png", **product}))
    (folder / "shop.jsonl").write_text("\n".join(lines))
    return folder / "shop.jsonl", folder / "photos"


def report_of(out, name="rejected.csv"):
    with open(out / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_sizes_and_years_stay_apart(tmp_path):
    (tmp_path / "photos").mkdir()
    rows = ["id,title,image,size,year"]
    for i, size in enumerate(("1.5", "15", "7.5 cm", "75 cm")):
        photograph(i, (20, 20)).save(tmp_path / "photos" / f"{i}.jpg")
        rows.append(f"{i},Shirt {i},{i}.jpg,{size},{'' if i == 2 else '2011.0'}")
    (tmp_path / "shop.csv").write_text("\n".join(rows))
    attributes = {"size": "size", "year": "year"}
    out = tmp_path / "out"
    summary = prepare_catalogue(tmp_path / "shop.csv", tmp_path / "photos", out, attributes=attributes)
    assert summary.values == {"size": 4, "year": 1} and summary.merged == []
    products = [{"title": product["title"], **product["fields"]} for product in lines_of(summary)[1:]]
    texts = [fashion_text(product, "description+attributes") for product in products]
    assert texts[0].endswith("the image size is 1.5 the image year is 2011")
    assert texts[3].endswith("the image size is 75 cm the image year is 2011") and len(set(texts)) == 4


def test_the_summary_counts_products_of_the_catalogue_only(tmp_path):
    colours = ["Red", "NA", "None", "none", "-", "red", "RED"]
    products = [{"colour": colour} for colour in colours]
    products += [{"colour": "Lost", "image": "absent.jpg"}, {"colour": "n/a", "image": "absent.jpg"}]
    table, photos = json_shop(tmp_path, *products)
    summary = prepare_catalogue(table, photos, tmp_path / "out", attributes={"colour": "colour"}, max_bad=0.5)
    assert summary.values == {"colour": 2}  # red and none
    assert summary.missing == {"NA": 1, "None": 1, "-": 1} and summary.respelled == 2
    fields = [product["fields"] for product in lines_of(summary)[1:]]
    assert [found.get("colour") for found in fields] == ["Red", None, None, "none", None, "Red", "Red"]


def test_one_bad_row_does_not_end_a_catalogue(tmp_path):
    bad = [{"title": "\ud800"}, {"id": "\udcff"}, {"colour": {"a": 1}}, {"image": "\ud800.png"}, {"id": "x" * 200_000}]
    table, photos = json_shop(tmp_path, {}, *bad, {"colour": "red", "price": 1e300})
    with open(table, "a") as file:
        file.write("\n" + "[" * 100_000 + "\n" + '{"id": ' + "9" * 5000 + "}")
    summary = prepare_catalogue(table, photos, tmp_path / "out", attributes={"colour": "colour"}, max_bad=0.9)
    assert [product["row"] for product in lines_of(summary)[1:]] == [1, 7]
    assert [(row["row"], row["problem"].partition(":")[0]) for row in report_of(tmp_path / "out")] == [
        *((str(row), "unreadable cell") for row in range(2, 7)),
        ("8", "is nested too deeply"),
        ("9", "is not JSON"),
    ]


def test_a_file_name_that_is_not_utf8_is_a_problem_of_its_image(tmp_path):
    (tmp_path / "photos").mkdir()
    photograph(0, (20, 20)).save(tmp_path / "photos" / "0.png")
    shutil.copy(tmp_path / "photos" / "0.png", os.fsencode(tmp_path / "photos") + b"/0_\xe9.png")
    (tmp_path / "shop.csv").write_text("id,title\n0,Shirt\n")
    summary = prepare_catalogue(tmp_path / "shop.csv", tmp_path / "photos", tmp_path / "out", pattern="{id}*.png")
    assert (summary.images, summary.left_out) == (1, 1)
    assert [row["problem"] for row in report_of(tmp_path / "out")] == ["has a name that is not UTF-8"]


@pytest.mark.parametrize("key", ["images", "out"])
def test_a_folder_whose_name_is_not_utf8_is_one_sentence(tmp_path, key):
    table, photos = json_shop(tmp_path, {})
    folders = {"images": photos, "out": tmp_path / "out", key: tmp_path / "\udce9"}
    folders[key].mkdir()
    with pytest.raises(UserError, match=f"--{key} .* has a name that is not UTF-8: rename it"):
        prepare_catalogue(table, **folders)


def test_a_reading_error_is_not_reported_as_a_full_disk(tmp_path, monkeypatch):
    table, photos = json_shop(tmp_path, {}, {})
    read = Table._json_lines

    def failing(self):
        yield next(read(self))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Table, "_json_lines", failing)
    with pytest.raises(UserError, match=r"shop.jsonl cannot be read \(Input/output error\)"):
        prepare_catalogue(table, photos, tmp_path / "out")


def test_the_report_has_no_formulas(tmp_path):
    table, photos = json_shop(tmp_path, {}, {"id": "=1+1", "image": "@a.jpg"}, {"id": "+1", "image": "-b.jpg"})
    prepare_catalogue(table, photos, tmp_path / "out", max_bad=0.9)
    assert [(row["id"], row["image"]) for row in report_of(tmp_path / "out")] == [
        ("'=1+1", "'@a.jpg"),
        ("'+1", "'-b.jpg"),
    ]


def test_a_column_that_is_there_twice_must_not_be_used(tmp_path):
    table, photos = small_shop(tmp_path, 2, "id,title,image,colour,colour")
    prepare_catalogue(table, photos, tmp_path / "out")
    with pytest.raises(UserError, match="--attributes colour=colour: .* has several columns called 'colour'"):
        prepare_catalogue(table, photos, tmp_path / "out", attributes={"colour": "colour"})


def test_two_attributes_of_one_name_are_an_error(tmp_path):
    table, photos = small_shop(tmp_path, 2)
    with pytest.raises(UserError, match="--attributes Colour: another attribute is called colour too"):
        prepare_catalogue(table, photos, tmp_path / "out", attributes={"colour": "material", "Colour": "id"})


def test_a_table_with_a_header_only_is_one_sentence(tmp_path):
    table, photos = small_shop(tmp_path, 0)
    with pytest.raises(UserError, match="the table has no rows"):
        prepare_catalogue(table, photos, tmp_path / "out")


def duplicated_shop(folder, split=""):
    """Writes 40 products of 20 photographs: product i + 20 has the photograph of product i."""
    (folder / "photos").mkdir()
    rows = ["id,title,image" + (",split" if split else "")]
    for i in range(40):
        photograph(i % 20, (20, 20)).save(folder / "photos" / f"{i}.png")
        rows.append(f"{i},Shirt {i % 20},{i}.png" + (f",{('train', split)[i // 20]}" if split else ""))
    (folder / "shop.csv").write_text("\n".join(rows))
    return folder / "shop.csv", folder / "photos"


@pytest.mark.parametrize("seed", range(4))
def test_products_of_one_photograph_are_in_one_split(tmp_path, seed):
    table, photos = duplicated_shop(tmp_path)
    summary = prepare_catalogue(table, photos, tmp_path / "out", validation=0.25, seed=seed)
    drawn = splits(tmp_path / "out")
    assert all(drawn[str(i)] == drawn[str(i + 20)] for i in range(20))
    assert summary.products == {"train": 30, "val": 10}
    assert summary.duplicates == Duplicates(titles=40, texts=40, identical=40, near=0, leaks=0)
    report = report_of(tmp_path / "out", "duplicates.csv")
    assert [(row["group"], row["id"]) for row in report[:4]] == [("1", "0"), ("1", "20"), ("2", "1"), ("2", "21")]
    assert len(report) == 40 and all(row["split"] == drawn[row["id"]] for row in report)


def test_leaks_of_a_split_column_are_counted(tmp_path):
    table, photos = duplicated_shop(tmp_path, split="val")
    summary = prepare_catalogue(table, photos, tmp_path / "out")
    assert summary.products == {"train": 20, "val": 20} and summary.duplicates.leaks == 20


def test_one_photograph_for_most_products_keeps_them_in_training(tmp_path):
    products = [{"image": "0.png"} for _ in range(16)] + [{}] * 4
    table, photos = json_shop(tmp_path, *products)
    summary = prepare_catalogue(table, photos, tmp_path / "out", validation=0.2)
    assert summary.products == {"train": 16, "val": 4}
    table, photos = json_shop(tmp_path, *products[:16])
    summary = prepare_catalogue(table, photos, tmp_path / "out", validation=0.2)
    assert summary.products == {"train": 16}


def photographs(folder, *paths):
    """Draws a different photograph for each path."""
    for seed, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        photograph(seed, (20, 20)).save(folder / path)
    return folder


def test_class_folders_without_a_table(tmp_path):
    paths = [f"{split}/{name}/{i}.jpg" for split in ("train", "validation") for name in ("dress", "hat") for i in "12"]
    photos = photographs(tmp_path / "photos", *paths)
    (photos / "train" / "hat" / "3.jpg").touch()
    summary = prepare_catalogue(None, photos, tmp_path / "out", max_bad=0.2)
    assert summary.products == {"train": 4, "val": 4} and summary.values == {"category": 2}
    assert (summary.rows, summary.problems) == (9, {"image is an empty file": 1})
    head, *products = lines_of(summary)
    assert head["attributes"] == ["category"] and head["images"] == str(photos)
    assert products[0] == {
        "split": "train",
        "row": 1,
        "id": "train/dress/1.jpg",
        "images": ["train/dress/1.jpg"],
        "title": "",
        "description": "",
        "fields": {"category": "dress"},
    }
    assert report_of(tmp_path / "out")[0]["id"] == "train/hat/3.jpg"


def test_photographs_alone_are_drawn_into_splits(tmp_path):
    photos = photographs(tmp_path / "photos", *(f"{i}.png" for i in range(20)), "red-wool-coat.png")
    summary = prepare_catalogue(None, photos, tmp_path / "out")
    assert summary.products == {"train": 19, "val": 2} and summary.values == {}
    assert (summary.duplicates.titles, summary.duplicates.texts) == (0, 0)  # no text is no equal text
    assert [product["title"] for product in lines_of(summary)[1:] if product["title"]] == ["red wool coat"]


@pytest.mark.parametrize(
    "options",
    [{"columns": {"id": "sku"}}, {"attributes": {"a": "a"}}, {"pattern": "{a}"}, {"group": ["a"]}, {"title": "{a}"}],
)
def test_options_about_columns_need_a_table(tmp_path, options):
    photos = photographs(tmp_path / "photos", "1.png")
    with pytest.raises(UserError, match="names columns of a table: name the table with --table, or leave out --"):
        prepare_catalogue(None, photos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_addresses_and_variants_are_counted(tmp_path):
    photos = photographs(tmp_path / "photos", "a/red.jpg", "back.jpg", "hat.jpg")
    (tmp_path / "shop.csv").write_text(
        "handle,title,image\n"
        "coat,Coat,https://cdn.shop.com/red.jpg?v=1\n"
        'coat,,"https://cdn.shop.com/back.jpg, https://cdn.shop.com/lost.jpg?v=2"\n'
        "hat,Hat,//cdn.shop.com/hat.jpg\n"
    )
    summary = prepare_catalogue(tmp_path / "shop.csv", photos, tmp_path / "out", group=["handle"])
    assert (summary.rows, summary.merged_rows, summary.addresses, summary.left_out) == (2, 1, 3, 1)
    assert [product["images"] for product in lines_of(summary)[1:]] == [["a/red.jpg", "back.jpg"], ["hat.jpg"]]
    (lost,) = report_of(tmp_path / "out")
    assert (
        lost["problem"] == "is a web address without a file: none is called lost.jpg" and lost["row is used"] == "yes"
    )
