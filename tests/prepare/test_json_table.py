import json

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import json_table
from fashionfae_lavis.prepare.tables import Table

PRODUCTS = [{"id": 1, "title": "Élan"}, {"id": 2, "tags": ["wool", "red"]}]


@pytest.mark.parametrize("document", [PRODUCTS, {"products": PRODUCTS, "next": None, "pages": [], "codes": [1, 2]}])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_list_of_objects_alone_or_in_an_object(tmp_path, document, encoding):
    path = tmp_path / "products.json"
    path.write_bytes(json.dumps(document, indent=1, ensure_ascii=False).encode(encoding))
    table = Table(path)
    assert table.columns == ["id", "title", "tags"]
    assert list(table) == [(1, PRODUCTS[0], ""), (2, PRODUCTS[1], "")]


def test_an_entry_that_is_no_object_is_a_problem_of_its_row(tmp_path):
    path = tmp_path / "products.json"
    path.write_text('[{"id": 1}, 7, {"id": 2}]')
    assert list(Table(path))[1] == (2, {}, "is not a JSON object")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "products.json is not JSON"),
        ("", "products.json is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ("[]", "has no list of objects: use a list of objects, one per product"),
        ('{"a": {"b": [{}]}}', "has no list of objects"),
        ('{"a": [{}], "b": [{}]}', r"has several lists of objects \(a, b\)"),
        ("12", "has no list of objects"),
    ],
)
def test_mistakes_are_named(tmp_path, content, message):
    path = tmp_path / "products.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        Table(path)


def test_a_document_that_takes_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_table, "LARGEST", 1000)
    path = tmp_path / "products.json"
    path.write_text(json.dumps([{"id": "x" * 1000}]))
    with pytest.raises(UserError, match="million characters: write one object per line as .jsonl"):
        Table(path)
