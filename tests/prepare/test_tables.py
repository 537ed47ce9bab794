import json
import os
import time
from decimal import Decimal

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import tables
from fashionfae_lavis.prepare.cells import CellError, cell_text
from fashionfae_lavis.prepare.tables import Table


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
    with pytest.raises(UserError, match=r"cannot be read \(Parquet magic bytes not found"):
        Table(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "The table .*none.csv is missing"),
        ("shop.ods", "PK", "ends in .csv, .tsv, .xlsx, .json, .jsonl, .ndjson, .parquet"),
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


def test_whole_numbers_lose_the_point_that_pandas_gives_them(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("year,heel,version,id\n2011.0,7.0,2.0,5\n,7.5,two,6\n2012.0,NA,3.0,7\n")
    assert [list(cells.values()) for _, cells, _ in rows(path)] == [
        ["2011", "7", "2.0", "5"],
        ["", "7.5", "two", "6"],
        ["2012", "NA", "3.0", "7"],
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON: Exceeds the limit"),
        ("nothing", "is not JSON"),
        ('{"a": "' + "x" * 200_000 + '"}', "is longer than"),
    ],
)
def test_a_bad_json_line_is_one_row(tmp_path, monkeypatch, line, problem):
    monkeypatch.setattr(tables, "LONGEST_ROW", 150_000)
    path = tmp_path / "shop.jsonl"
    path.write_text('{"a": 1}\n' + line + '\n{"a": 2}')
    found = rows(path)
    assert [number for number, _, _ in found] == [1, 2, 3]
    assert found[1][2].startswith(problem) and found[2][1] == {"a": 2}


def test_numbers_beyond_all_bounds_are_missing(tmp_path):
    path = tmp_path / "shop.jsonl"
    path.write_text('{"a": 1e400, "b": NaN, "c": -Infinity, "d": 1e300, "e": 5}')
    assert [cell_text(cell) for cell in rows(path)[0][1].values()] == ["", "", "", "1e+300", "5"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_without_a_mark(tmp_path, encoding):
    path = tmp_path / "shop.csv"
    path.write_bytes("name\n\u00c9lan \u5927\n".encode(encoding))
    assert rows(path) == [(2, {"name": "\u00c9lan \u5927"}, "")]


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,"4\n5,6\n', 'a,"b\n1,2\n'])
def test_a_quotation_mark_that_is_never_closed(tmp_path, text):
    """Otherwise the rest of the table would become one text, and its products would be lost."""
    path = tmp_path / "shop.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=f"a quotation mark in row {3 if text[2] == 'b' else 1} is not closed"):
        rows(path)


def test_a_row_of_a_csv_file_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_ROW", 100)
    path = tmp_path / "shop.csv"
    for text in ("1," + "x" * 200, '1,"' + "x\n" * 200):
        path.write_text("a,b\n" + text)
        with pytest.raises(UserError, match="row 2 is longer than 100 characters, perhaps because a quotation mark"):
            rows(path)


def test_columns_of_the_same_name_are_known(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("a,b,a\n1,2,3\n")
    table = Table(path)
    assert table.columns == ["a", "b"] and table.repeated == {"a"}


def test_what_is_no_readable_file_is_one_sentence(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")  # reading it would wait for ever
    for name in ("folder.csv", "pipe.csv", "x" * 300 + ".csv"):
        with pytest.raises(UserError, match="is missing or not a file"):
            Table(tmp_path / name)
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(UserError, match=r"cannot be read \(Parquet file size is 0 bytes\)"):
        Table(tmp_path / "empty.parquet")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that cannot be read")
@pytest.mark.parametrize("name", ["shop.csv", "shop.jsonl"])
def test_a_reading_error_is_one_sentence(tmp_path, name):
    (tmp_path / name).symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=r"cannot be read \(Input/output error\): check its permissions"):
        Table(tmp_path / name)


def test_a_table_that_is_deleted_meanwhile_is_one_sentence(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("a\n1\n")
    table = Table(path)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read \(No such file or directory\)"):
        list(table)


def test_parquet_cells_that_python_has_no_value_for(tmp_path):
    late = pyarrow.array([1 << 62, 0], pyarrow.int64())
    text = pyarrow.array([b"caf\xe9", b"ok"], pyarrow.binary())
    columns = {
        "late": late.cast(pyarrow.timestamp("ms")),
        "zone": late.cast(pyarrow.timestamp("us", "Mars/Olympus")),
        "text": text.view(pyarrow.string()),
        "binary": pyarrow.array([b"\xff\x00", b"ok"]),
        "decimal": pyarrow.array([Decimal("7.50"), Decimal("40.00")]),
        "struct": pyarrow.array([{"a": 1}, {"a": 2}]),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "shop.parquet")
    table = Table(tmp_path / "shop.parquet")
    (_, first, _), (_, second, _) = table
    for name in ("late", "zone", "struct", "binary"):
        with pytest.raises(CellError):
            cell_text(first[name])
    assert cell_text(second["late"]) == "1970-01-01 00:00:00" and cell_text(second["binary"]) == "ok"
    assert [cell_text(row["text"]) for row in (first, second)] == ["caf\u00e9", "ok"] and table.decode_fallbacks == 1
    assert [cell_text(row["decimal"]) for row in (first, second)] == ["7.5", "40"]


def test_a_parquet_file_that_ends_in_the_middle_of_a_page(tmp_path):
    path = tmp_path / "shop.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [f"{i} wool" for i in range(5000)]}), path)
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    with pytest.raises(UserError, match="shop.parquet cannot be read"):
        rows(path)


def test_a_parquet_row_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_ROW", 1000)
    path = tmp_path / "shop.parquet"
    for texts in (["x" * 2000], ["".join(map(str, range(1000)))]):
        pyarrow.parquet.write_table(pyarrow.table({"a": texts * 50}), path)
        with pytest.raises(UserError, match="rows from 1 on are longer than 1000 characters"):
            rows(path)


def test_a_table_that_is_no_text_takes_little_time(tmp_path):
    path = tmp_path / "shop.csv"
    noise = np.random.default_rng(0).integers(128, 256, 200_000, dtype=np.uint8).tobytes()
    for start in (b"a,b\n", "a,b\n".encode("utf-16"), "a,b\n".encode("utf-32") + b"x"):
        path.write_bytes(start + noise)
        start = time.process_time()
        assert len(rows(path)) == 1
        assert time.process_time() - start < 3


def test_a_parquet_column_that_unpacks_to_much_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST_BOMB", 1_000_000)
    path = tmp_path / "shop.parquet"
    long = pyarrow.table({"a": ["x" * 2_000_000, *["y"] * 999]})
    pyarrow.parquet.write_table(long, path, compression="zstd")
    with pytest.raises(UserError, match="column a unpacks to more than 100 times its size"):
        rows(path)
    pyarrow.parquet.write_table(long, path, compression="none")
    assert len(rows(path)) == 1000


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_rows_are_counted_and_the_first_ones_read_alone(tmp_path, suffix):
    path = tmp_path / f"shop.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"name": [f"Shirt {i}" for i in range(40)]}), path)
    elif suffix == "csv":
        path.write_text("name,text\n" + "".join(f'Shirt {i},"of two\nlines"\n' for i in range(40)))
    else:
        path.write_text("".join(json.dumps({"name": f"Shirt {i}"}) + "\n" for i in range(40)))
    table = Table(path)
    assert [row.cells["name"] for row in table.head(3)] == ["Shirt 0", "Shirt 1", "Shirt 2"]
    assert table.count() == 40 == len(list(table))
