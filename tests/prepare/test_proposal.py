"""Options that `fashionfae prepare catalogue` proposes for tables of real shops, drawn small."""

import shlex

import pytest
from prepare.dirty_shop import photograph

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.prepare.proposal import ROWS, Proposal, propose
from fashionfae_lavis.prepare.tables import Table

COLOURS, TYPES = ("Navy Blue", "Red", "Off White"), ("Shirts", "Track Pants", "Flip Flops", "Tops")
LONG = "A soft shirt of the finest cotton, made for long days at the beach and in the city, number"


def write_shop(folder, columns, products=24, name="{i}.jpg"):
    """Writes a table whose columns are made by functions of the product's number, and a photograph of each product."""
    photos = folder / "photos"
    for i in range(100, 100 + products):
        path = photos / name.format(i=i)
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(i, (20, 20)).save(path)
    rows = ["\t".join(columns)]
    rows += ["\t".join(str(cell(i)) for cell in columns.values()) for i in range(100, 100 + products)]
    (folder / "shop.tsv").write_text("\n".join(rows))
    return folder / "shop.tsv", photos


def proposed(folder, columns, known=None, pattern=None, **options):
    table, photos = write_shop(folder, columns, **options)
    return propose(Table(table), photos, known or {}, {}, pattern)


KAGL = {
    "id": lambda i: i,
    "gender": lambda i: ("Men", "Women")[i % 2],
    "articleType": lambda i: TYPES[i % 4],
    "baseColour": lambda i: COLOURS[i % 3],
    "year": lambda i: 2011 + i % 3,
    "inStock": lambda i: ("yes", "no")[i % 2],
    "price": lambda i: f"{i}.99",
    "productDisplayName": lambda i: f"Turtle Check Men {COLOURS[i % 3]} Shirt {i}",
}


def test_the_proposed_command_works_when_copied(tmp_path, capsys):
    folder = tmp_path / "a shop's data"
    table, photos = write_shop(folder, KAGL)
    command = ["prepare", "catalogue", "--table", str(table), "--images", str(photos), "--out", str(tmp_path / "out")]
    command += ["--seed", "3"]
    with pytest.raises(SystemExit):
        main(command)
    error, again = capsys.readouterr().err.splitlines()
    assert error == (
        f"error: {table} has no column called title or description (--map title=COLUMN, or --title) and none "
        "called image (--map image=COLUMN, or --pattern), and no --attributes are given: its first rows suggest --map "
        "title=productDisplayName --pattern '{id}.jpg' --attributes gender,articleType,baseColour."
    )
    program, *arguments = shlex.split(again)
    assert program == "fashionfae" and arguments[: len(command)] == command
    main(arguments)
    said = capsys.readouterr().out
    assert "24 products" in said and "  article type: 4 values" in said and "  base colour: 3 values" in said


def test_columns_are_told_apart_by_their_content(tmp_path):
    columns = {
        "Group Code": lambda i: f"B-{i // 2}",
        "Ref Code": lambda i: f"A-{i}",
        "Label": lambda i: f"Cotton shirt {i}",
        "Body": lambda i: f"{LONG} {i}",
        "Thumb": lambda i: f"thumbs/{i}.jpg",
        "Foto": lambda i: f"{i}.jpg",
        "Fabric": lambda i: COLOURS[i % 3],
        "Part": lambda i: ("train", "Validation")[i % 2],
    }
    assert proposed(tmp_path, columns) == Proposal(
        columns={"split": "Part", "image": "Foto", "description": "Body", "title": "Label", "id": "Ref Code"},
        attributes=["Fabric"],
    )


def test_web_addresses_are_images(tmp_path):
    columns = {"Name": lambda i: f"Shirt {i}", "link": lambda i: f"https://shop.example/{i}.jpg?size=2"}
    assert proposed(tmp_path, columns).columns["image"] == "link"


@pytest.mark.parametrize(
    ("name", "pattern"), [("{i}.JPG", "{sku}.jpg"), ("{i}_front.png", "{sku}_*.png"), ("{i}/a.jpg", "{sku}/*")]
)
def test_files_named_after_a_column_give_a_pattern(tmp_path, name, pattern):
    columns = {"sku": lambda i: i, "name": lambda i: f"Shirt {i}", "rank": lambda i: 500 + i}
    assert proposed(tmp_path, columns, name=name).pattern == pattern
    prepare_catalogue(tmp_path / "shop.tsv", tmp_path / "photos", tmp_path / "out", pattern=pattern)


def test_the_column_that_files_are_named_after_is_the_id(tmp_path):
    columns = {"Code": lambda i: 500 + i, "Artikel": lambda i: i, "Name": lambda i: f"Shirt {i}"}
    found = proposed(tmp_path, columns)
    assert found.columns == {"title": "Name", "id": "Artikel"} and found.pattern == "{Artikel}.jpg"


def test_what_is_given_is_not_proposed(tmp_path):
    assert proposed(tmp_path, KAGL, known={"title": "productDisplayName", "id": "id"}, pattern="{id}.jpg") == Proposal(
        attributes=["gender", "articleType", "baseColour"]
    )


def test_without_texts_the_title_is_composed_of_attributes(tmp_path):
    columns = {"sku": lambda i: i, "kind": lambda i: TYPES[i % 4], "colour": lambda i: COLOURS[i % 3]}
    found = proposed(tmp_path, columns, known={"id": "sku"})
    assert found.options() == ["--pattern", "{sku}.jpg", "--title", "{kind} {colour}", "--attributes", "kind,colour"]
    arguments = (tmp_path / "shop.tsv", tmp_path / "photos", tmp_path / "out")
    summary = prepare_catalogue(*arguments, pattern=found.pattern, title=found.title)
    assert summary.products == {"train": 22, "val": 2} and summary.suggested == ["kind", "colour"]


def test_a_table_that_suggests_no_texts_gives_no_command(tmp_path):
    table, photos = write_shop(tmp_path, {"sku": lambda i: i, "rank": lambda i: i % 4})
    with pytest.raises(
        UserError, match=r"no column called title .*none called image .*: name .*\(sku, rank\)"
    ) as caught:
        prepare_catalogue(table, photos, tmp_path / "out")
    assert caught.value.options == []


def test_only_the_first_rows_are_read(tmp_path, monkeypatch):
    table, photos = write_shop(tmp_path, KAGL)
    read = Table._separated
    last = []

    def endless(self):
        while True:
            for row in read(self):
                last.append(row)
                yield row

    table = Table(table)
    monkeypatch.setattr(table, "_rows", endless.__get__(table))
    propose(table, photos, {}, {}, None)
    assert len(last) == ROWS


def test_columns_that_an_option_cannot_name_are_not_proposed(tmp_path):
    columns = {"name": lambda i: f"Shirt {i}", "a,b": lambda i: TYPES[i % 4], "title": lambda i: TYPES[i % 4]}
    assert proposed(tmp_path, columns, known={"title": "name"}).attributes == []


def test_a_catalogue_without_attributes_says_so(tmp_path, capsys):
    table, photos = write_shop(tmp_path, KAGL)
    command = ["prepare", "catalogue", "--table", str(table), "--images", str(photos), "--out", str(tmp_path / "out")]
    main([*command, "--map", "title=productDisplayName", "--pattern", "{id}.jpg"])
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == [
        "  no attributes: AETP, which learns to predict their values from photographs, has only the words of titles",
        "  these columns may be attributes: --attributes gender,articleType,baseColour",
    ]
