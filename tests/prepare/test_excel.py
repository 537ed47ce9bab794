import builtins
import datetime
import zipfile

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import excel
from fashionfae_lavis.prepare.cells import cell_text
from fashionfae_lavis.prepare.tables import Table

openpyxl = pytest.importorskip("openpyxl")


def workbook(path, rows, formats=None):
    """Writes rows to the first of two sheets; `formats` are number formats by coordinate."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for coordinate, number_format in (formats or {}).items():
        book.active[coordinate].number_format = number_format
    book.create_sheet("notes").append(["not", "read"])
    book.save(path)
    return path


def test_the_first_sheet_below_its_header(tmp_path):
    path = workbook(
        tmp_path / "shop.xlsx", [[], ["sku", " title ", None, "size"], ["a", "Coat"], [], ["b", "Hat", 1, 3]]
    )
    table = Table(path)
    assert table.columns == ["sku", "title", "size"]
    assert list(table) == [
        (3, {"sku": "a", "title": "Coat", "size": None}, ""),
        (5, {"sku": "b", "title": "Hat", "size": 3}, ""),
    ]
    assert len(list(table)) == 2  # again


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (0.5, "0%", "50%"),
        (0.125, "0.0%", "12.5%"),
        (1299.5, '"$"#,##0.00', "$1299.50"),
        (35, "#,##0.00 [$\u20ac-407]", "35.00 \u20ac"),
        (35, "[$USD] 0;[Red]-0", "USD 35"),
        (38, '0 "cm"', "38 cm"),
        (123, "00000", "00123"),
        (4006381333931, "0", "4006381333931"),
        (0.1 + 0.2, "General", "0.3"),
        (12.5, "0.00", "12.5"),
        (1500.0, "0.00E+00", "1500"),
        (datetime.datetime(2024, 5, 1), "dd/mm/yyyy", "2024-05-01"),
        (datetime.datetime(2024, 5, 1, 12, 30), "dd/mm/yyyy hh:mm", "2024-05-01 12:30:00"),
        ("007", "@", "007"),
        (True, "General", "True"),
    ],
)
def test_values_as_the_sheet_shows_them(tmp_path, value, number_format, text):
    path = workbook(tmp_path / "shop.xlsx", [["a"], [value]], {"A2": number_format})
    (row,) = Table(path)
    assert cell_text(row.cells["a"]) == text


def test_wrong_dimensions_hide_no_cell(tmp_path):
    path = workbook(tmp_path / "shop.xlsx", [["a", "b"], ["1", "2"]])
    rewritten(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b'ref="A1:B2"', b'ref="A1"'))
    assert [row.cells for row in Table(path)] == [{"a": "1", "b": "2"}]


def rewritten(path, name, change):
    """Changes one part of a workbook."""
    with zipfile.ZipFile(path) as file:
        parts = {part: file.read(part) for part in file.namelist()}
    before, parts[name] = parts[name], change(parts[name])
    assert parts[name] != before
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part, content in parts.items():
            file.writestr(part, content)


def test_what_is_no_workbook_is_one_sentence(tmp_path):
    path = tmp_path / "shop.xlsx"
    for content in (b"", b"PK", b"\xd0\xcf\x11\xe0" + bytes(600)):  # the last as with a password
        path.write_bytes(content)
        with pytest.raises(UserError, match="shop.xlsx is not an Excel workbook .* or has a password: save it again"):
            Table(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "no workbook")
    with pytest.raises(UserError, match="shop.xlsx cannot be read"):
        Table(path)
    workbook(path, [["a"], ["1"]])
    rewritten(path, "xl/worksheets/sheet1.xml", lambda xml: xml[: len(xml) // 2])
    with pytest.raises(UserError, match="shop.xlsx cannot be read"):
        list(Table(path))


def test_a_workbook_without_rows_is_empty(tmp_path):
    with pytest.raises(UserError, match="shop.xlsx is empty"):
        Table(workbook(tmp_path / "shop.xlsx", []))


def test_a_workbook_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    path = workbook(tmp_path / "shop.xlsx", [["a"], ["x" * 30_000]])
    monkeypatch.setattr(excel, "LARGEST", 30_000)
    with pytest.raises(UserError, match="unpacks to too many bytes: save the sheet of the products as CSV"):
        Table(path)
    monkeypatch.setattr(excel, "LARGEST", 250_000_000)
    rewritten(path, "xl/styles.xml", lambda xml: xml + b" " * (16_000_000))
    with pytest.raises(UserError, match="unpacks to too many bytes"):
        Table(path)


def test_entities_that_expand_without_end_are_refused(tmp_path):
    path = workbook(tmp_path / "shop.xlsx", [["a"], ["1"]])
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x" * 100}">' for i in range(12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE worksheet [{entities}]>'.encode()
    sheet = "xl/worksheets/sheet1.xml"
    rewritten(path, sheet, lambda xml: bomb + xml[xml.index(b"<worksheet") :].replace(b"<t>a</t>", b"<t>&e11;</t>"))
    with pytest.raises(UserError, match="shop.xlsx cannot be read"):
        Table(path)


def test_a_row_number_beyond_excels_is_not_counted_up_to(tmp_path):
    path = workbook(tmp_path / "shop.xlsx", [["a"], ["1"], ["2"]])
    sheet = "xl/worksheets/sheet1.xml"
    far = b'<row r="999999999999"><c r="A999999999999"'
    rewritten(path, sheet, lambda xml: xml.replace(b'<row r="3"><c r="A3"', far))
    try:
        assert [row.cells for row in Table(path)] == [{"a": "1"}]
    except UserError as error:
        assert "cannot be read" in str(error)


def test_a_missing_openpyxl_is_one_sentence(tmp_path, monkeypatch):
    path = workbook(tmp_path / "shop.xlsx", [["a"], ["1"]])
    real = builtins.__import__

    def without(name, *rest):
        if name == "openpyxl":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"needs openpyxl: pip install 'fashionfae-lavis\[excel\]', or save the sheet"):
        Table(path)
