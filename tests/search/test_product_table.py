import csv
import json

import pytest
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.labels import Label
from fashionfae_lavis.search.product_table import ProductTable

HEADER = ["sku", "photo", "name", "baseColour", "price"]
ROWS = [
    ["a1", "a.png", "Shirt", "navy-blue", "2.50"],
    ["a2", "B.PNG", "Coat; warm", "", "-3"],
    ["a3", "missing.png", "=1+1", "N/A", "1,5"],
    ["a4", "", "Naïve", "Navy Blue", ""],
]
LABEL = Label("Red", 0.98765, "Navy Blue")


def write_csv(path, rows, header=HEADER):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 16), "red").save(tmp_path / name)
    write_csv(tmp_path / "shop.csv", ROWS)
    return tmp_path


def opened(path, needs_columns=True, **attributes):
    columns = {"id": "sku", "image": "photo", "title": "name"}
    attributes = attributes or {"colour": "baseColour"}
    return ProductTable(path, path.parent, columns, attributes, needs_columns=needs_columns)


def test_rows_are_products(folder):
    table = opened(folder / "shop.csv")
    assert table.ids == ["a1", "a2", "a3", "a4"] and table.product_ids.tolist() == [2, 3, 4, 5]
    assert table.row_product.tolist() == [0, 1, 2]
    assert table.texts["title"] == ["Shirt", "Coat; warm", "=1+1", "Naïve"]
    assert table.texts["colour"] == ["navy-blue", "", "", "navy-blue"]  # the first spelling
    assert table.image(1).getpixel((0, 0)) == (255, 0, 0)  # b.png
    assert [table.image_name(i) for i in range(4)] == ["a.png", "B.PNG", "missing.png", ""]
    with pytest.raises(UserError, match=r"missing.png is missing"):
        table.image(2)


def test_the_copy_has_labels_where_the_table_has_none_and_else_the_same_cells(folder):
    before = (folder / "shop.csv").read_bytes()
    table = opened(folder / "shop.csv")
    assert table.write_labelled({1: {"colour": LABEL}, 2: {}}, folder / "out.csv") == 0
    assert (folder / "shop.csv").read_bytes() == before
    rows = read_csv(folder / "out.csv")
    assert list(rows[0]) == ["sku", "photo", "name", "baseColour", "colour confidence", "colour runner-up", "price"]
    assert [rows[1][key] for key in list(rows[0])[3:6]] == ["Red", "0.988", "Navy Blue"]
    for i, row in enumerate(ROWS):
        kept = [column for column in HEADER if (i, column) != (1, "baseColour")]
        assert {column: rows[i][column] for column in kept} == {
            c: v for c, v in zip(HEADER, row, strict=True) if c in kept
        }
        if i != 1:
            assert rows[i]["colour confidence"] == rows[i]["colour runner-up"] == ""


def test_an_attribute_without_a_column_gets_one(folder):
    table = ProductTable(
        folder / "shop.csv",
        folder,
        {"id": "sku", "image": "photo", "title": "name"},
        {"fit": "fit"},
        needs_columns=False,
    )
    table.write_labelled({0: {"fit": LABEL}}, folder / "out.csv")
    rows = read_csv(folder / "out.csv")
    assert list(rows[0])[-3:] == ["fit", "fit confidence", "fit runner-up"]
    assert [row["fit"] for row in rows] == ["Red", "", "", ""]
    with pytest.raises(UserError, match="lacks this column"):
        opened(folder / "shop.csv", fit="fit")


def test_other_kinds_of_tables_are_copied_cell_by_cell(folder):
    lines = [
        {"sku": 1, "photo": ["a.png", "b.png"], "name": "Coat", "colour": None, "size": {"eu": 40}},
        {"sku": 2, "photo": "b.png", "name": "Shirt", "colour": "Red", "late": True},
    ]
    (folder / "shop.jsonl").write_text("not json\n" + "\n".join(map(json.dumps, lines)))
    table = opened(folder / "shop.jsonl", colour="colour")
    assert table.row_product.tolist() == [1, 1, 2]
    assert table.write_labelled({1: {"colour": LABEL}}, folder / "out.csv") == 1  # the row that is not JSON
    first, second = read_csv(folder / "out.csv")
    assert first == {
        "sku": "1", "photo": '["a.png", "b.png"]', "name": "Coat", "colour": "Red", "colour confidence": "0.988",
        "colour runner-up": "Navy Blue", "size": '{"eu": 40}', "late": "",
    }  # fmt: skip
    assert second["colour"] == "Red" and second["late"] == "True" and second["colour confidence"] == ""


def test_names_that_are_taken_are_errors(folder):
    header = [*HEADER[:3], "colour", "colour confidence"]
    table = opened(write_csv(folder / "again.csv", ROWS, header), colour="colour")
    with pytest.raises(UserError, match="has a column called 'colour confidence' already: rename it"):
        table.labelled_columns()
    write_csv(folder / "twice.csv", ROWS, [*HEADER[:4], "name"])
    with pytest.raises(UserError, match="several columns called 'name': rename all but one"):
        opened(folder / "twice.csv")


def test_a_failed_write_leaves_the_older_file(folder, monkeypatch):
    table = opened(folder / "shop.csv")
    (folder / "out.csv").write_text("older")
    monkeypatch.setattr(table, "_label_cells", lambda labels: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(UserError, match="Cannot write"):
        table.write_labelled({}, folder / "out.csv")
    assert (folder / "out.csv").read_text() == "older" and not list(folder.glob("*.tmp"))
