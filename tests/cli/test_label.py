import csv
from pathlib import Path

import pytest
from PIL import Image
from toy_shop import COLOURS, ToyShop, photograph, toy_encoder
from trained import checkpoint_of

from fashionfae_lavis.cli import main
from fashionfae_lavis.search.encoder import Encoder

MISSING, WRONG = (5, 17, 40), 23


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with shop.csv, in which three colours are missing and one is wrong, and a model that sees them all."""
    shop = ToyShop(60)
    monkeypatch.setattr(Encoder, "open", lambda model, device: toy_encoder(shop))
    monkeypatch.chdir(tmp_path)
    shop.folder = tmp_path
    shop.given = ["" if i in MISSING else colour for i, colour in enumerate(shop.colours)]
    shop.given[WRONG] = "Red" if shop.colours[WRONG] != "Red" else "Off-White"
    with open("shop.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "image", "baseColour", "material", "split"])
        for i in range(60):
            photograph(i).save(f"{i}.png")
            writer.writerow(
                [f"sku{i}", f"Dress {i}", f"{i}.png", shop.given[i], shop.materials[i], ("train", "val")[i % 2]]
            )
    return shop


def label(*arguments, out="labelled.csv", attributes="colour=baseColour,material"):
    main(["label", "shop.csv", "--model", "toy", "--out", out, "--attributes", attributes, *arguments])


def rows(path="labelled.csv"):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_missing_values_are_named_and_given_ones_stay(shop, capsys):
    before = Path("shop.csv").read_bytes()
    label("--curve", "curve.png")
    printed = capsys.readouterr().out
    assert Path("shop.csv").read_bytes() == before
    found = rows()
    for i, row in enumerate(found):
        if i in MISSING:
            assert row["baseColour"] == shop.colours[i] and float(row["colour confidence"]) > 0.8
            assert row["colour runner-up"] not in ("", shop.colours[i])
        else:
            assert row["baseColour"] == shop.given[i] and row["colour confidence"] == row["colour runner-up"] == ""
        assert row["material"] == shop.materials[i] and row["id"] == f"sku{i}"
    assert "labelled.csv: written; 3 values of 3 products were named" in printed
    header, _, colour, material = printed.splitlines()[:4]
    assert header.split()[:5] == ["attribute", "values", "products", "way", "accuracy"]
    assert colour.split()[:5] == ["colour", "3", "57", "ITC", "98.2"]  # 56 of 57, because one is given wrong
    assert material.split()[:5] == ["material", "2", "60", "ITC", "100.0"]
    assert "if the model was trained on them, these figures are too good" in printed
    assert Image.open("curve.png").size[0] > 500


def test_values_below_the_least_confidence_stay_empty(shop, capsys):
    label("--least-confidence", "1")
    assert [rows()[i]["baseColour"] for i in MISSING] == ["", "", ""]
    assert [rows()[i]["colour confidence"] for i in MISSING] == ["", "", ""]
    printed = capsys.readouterr().out
    assert "0 values of 0 products were named" in printed
    assert "3 values are less certain than 1.0 and stay empty" in printed


def test_products_without_a_photograph_are_left_as_they_are(shop, capsys, tmp_path):
    (tmp_path / "17.png").unlink()
    (tmp_path / "20.png").write_bytes(b"no image")
    label()
    assert rows()[17]["baseColour"] == "" and rows()[5]["baseColour"] == shop.colours[5]
    assert "1 products that lack a value have no readable photograph" in capsys.readouterr().out


def test_the_audit_lists_the_wrong_value(shop, capsys):
    label("--audit", out="doubts.csv")
    assert [(row["id"], row["row"], row["attribute"], row["given"], row["seen"]) for row in rows("doubts.csv")] == [
        (f"sku{WRONG}", str(WRONG + 2), "colour", shop.given[WRONG], shop.colours[WRONG])
    ]
    printed = capsys.readouterr().out
    assert "doubts.csv: written; 1 values differ" in printed and f"sku{WRONG}" in printed


def test_a_catalogue_gives_the_values_and_calibrates(shop, capsys):
    options = ["--attributes", "colour=baseColour,cloth=material", "--images", "."]
    main(["prepare", "catalogue", "--table", "shop.csv", "--out", "catalogue", *options])
    capsys.readouterr()
    label("--catalogue", "catalogue", attributes="colour=new colour,cloth")
    printed = capsys.readouterr().out
    assert "colour" in printed and "too good" not in printed
    found = rows()
    new = [column for column in found[0] if column not in ("id", "title", "image", "baseColour", "material", "split")]
    assert new == [
        *("new colour", "colour confidence", "colour runner-up"),
        *("cloth", "cloth confidence", "cloth runner-up"),
    ]
    assert [row["new colour"] for row in found] == shop.colours
    assert [row["cloth"] for row in found] == shop.materials


def test_a_checkpoint_labels_without_help(shop, capsys, monkeypatch):
    """A model with random weights, so only the form of the output is known."""
    monkeypatch.undo()  # of the model that sees everything, and of the working directory
    monkeypatch.chdir(shop.folder)
    model = checkpoint_of("fashionfae", shop.folder / "model.pth")
    attributes = ["--attributes", "colour=baseColour,material"]
    main(["label", "shop.csv", "--model", str(model), "--out", "labelled.csv", "--device", "cpu", *attributes])
    assert "3 values of 3 products were named" in capsys.readouterr().out
    for i, row in enumerate(rows()):
        assert row["baseColour"] in COLOURS and (row["baseColour"] == shop.given[i] or i in MISSING)
        assert (row["colour confidence"] != "") == (i in MISSING)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ([], {"out": "shop.csv"}, "--out shop.csv is the table itself, which is never changed: give another file."),
        ([], {"out": "labelled.xlsx"}, "--out labelled.xlsx must be a .csv file: give it such a name."),
        ([], {"out": "no/such.csv"}, "there is no folder no; create it, or use another one."),
        ([], {"attributes": ""}, "--attributes is missing: name the attributes to label"),
        ([], {"attributes": "fit"}, "--attributes fit=fit: shop.csv lacks this column"),
        (["--least-confidence", "2"], {}, "--least-confidence is 2.0, but must be between 0 and 1."),
        (["--curve", "no/curve.png"], {}, "--curve no/curve.png: there is no folder no; create it, or use another"),
        ([], {"attributes": "colour=baseColour,hue=baseColour"}, "several attributes have the column baseColour: name"),
        (["--curve", "shop.csv"], {}, "--curve shop.csv must be a .png file: give it such a name."),
        (["--group", "id"], {}, "--group merges rows, and label keeps them: leave it out."),
        (["--recogniser", "fit=a.pth"], {}, "--recogniser fit=...: add fit to --attributes."),
        (["--catalogue", "none"], {}, "none/catalogue.jsonl is missing"),
    ],
)
def test_mistakes_are_one_sentence(shop, capsys, arguments, options, error):
    with pytest.raises(SystemExit) as stop:
        label(*arguments, **options)
    printed = capsys.readouterr().err
    assert stop.value.code == 2 and error in printed and printed.count("\n") == 1


def test_photographs_that_are_all_missing(shop, capsys):
    with pytest.raises(SystemExit):
        label("--images", "none")
    assert "None of the photographs of 60 products can be used: check --images" in capsys.readouterr().err
