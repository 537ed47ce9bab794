import datetime
import json

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.tables import Table, cell_text


def rows(path):
    return [(row.number, row.cells, row.problem) for row in Table(path)]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_separated_tables_of_any_delimiter(tmp_path, delimiter):
    path = tmp_path / "shop.csv"
    path.write_text(f"name{delimiter} price \nShirt{delimiter}9\n\nSkirt{delimiter}8\n")
    table = Table(path)
    assert table.columns == ["name", "price"]
    assert rows(path) == [(2, {"name": "Shirt", "price": "9"}, ""), (4, {"name": "Skirt", "price": "8"}, "")]


def test_a_tsv_may_have_more_commas_than_tabs(tmp_path):
    path = tmp_path / "shop.TSV"
    path.write_text('a,b,c\td\n1\t"two\nlines"\n')
    assert rows(path) == [(2, {"a,b,c": "1", "d": "two\nlines"}, "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "cp1252"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "shop.csv"
    text = "name\nÉlan dress\n"
    path.write_bytes(text.encode(encoding))
    table = Table(path)
    assert [row.cells for row in table] == [{"name": "Élan dress"}]
    assert table.decode_fallbacks == (encoding in ("iso-8859-1", "cp1252"))
    assert [row.cells for row in table] == [{"name": "Élan dress"}]  # again


def test_a_table_may_be_of_two_encodings_and_hold_zero_bytes(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_bytes("name\nÉlan\n".encode() + "Élan \x93soft\x94\x81\n".encode("iso-8859-1") + b"a\0b\n")
    assert [row.cells["name"] for row in Table(path)] == ["Élan", "Élan “soft”\x81", "ab"]


def test_json_lines(tmp_path):
    path = tmp_path / "shop.jsonl"
    path.write_text('{"a": 1}\n\n{"b": ["x", "y"]}\n{"a": \n[1]\n')
    table = Table(path)
    assert table.columns == ["a", "b"]
    found = rows(path)
    assert found[:2] == [(1, {"a": 1}, ""), (3, {"b": ["x", "y"]}, "")]
    assert found[2][2].startswith("is not JSON: ") and found[3] == (5, {}, "is not a JSON object")


def test_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "shop.parquet"
    frame = pandas.DataFrame({"sku": [1, None], "photos": [["a.jpg", "b.jpg"], None]})
    frame.to_parquet(path)
    table = Table(path)
    assert table.columns == ["sku", "photos"]
    first, second = rows(path)
    assert (first[0], second[0]) == (1, 2)
    assert first[1]["photos"] == ["a.jpg", "b.jpg"] and cell_text(first[1]["sku"]) == "1"
    assert cell_text(second[1]["sku"]) == cell_text(second[1]["photos"]) == ""
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="is not a readable Parquet file"):
        Table(path)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        ("N/A", ""),
        ("  none ", "none"),  # a closure may be none
        (42.0, "42"),
        (4.5, "4.5"),
        (True, "True"),
        (["wool", None, "silk"], "wool, silk"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
    ],
)
def test_cells_as_text(value, text):
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "The table .*none.csv is missing"),
        ("shop.xlsx", "PK", "use a table whose name ends in .csv, .tsv, .jsonl, .ndjson, .parquet"),
        ("shop.csv", "", "is empty: use a table with columns and rows"),
        ("shop.jsonl", "", "is empty"),
    ],
)
def test_mistakes_are_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        Table(tmp_path / name)


def test_a_table_of_another_shape_is_reported_row_by_row(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("a,b\n1,2,3\n1\n1,2\n")
    assert [row.problem for row in Table(path)] == [
        "has 3 cells where the header has 2",
        "has 1 cells where the header has 2",
        "",
    ]
    assert json.dumps(rows(path)[2][1]) == '{"a": "1", "b": "2"}'
