import json

import numpy as np
import pytest
from pydantic import ValidationError

from fashionfae_lavis.datasets.datasets.fashiongen_index import INDEX_TYPE, Columns, fingerprint, write_json

TEXTS = {"title": ["Shirt", "Élan"], "description": ["", "Soft."], "category": ["TOPS", "COATS"], "season": ["", ""]}


@pytest.fixture
def source(tmp_path):
    (tmp_path / "train.h5").write_bytes(b"12345")
    return tmp_path / "train.h5"


def columns():
    return Columns(np.array([70, 20]), np.array([0, 1, 0]), TEXTS, decode_fallbacks=1, mixed=0)


def test_columns_survive_json(source, tmp_path):
    path = write_json(columns().to_json(source), tmp_path / "index.json")
    restored = Columns.from_json(json.loads(path.read_text(encoding="utf-8")))
    assert restored.texts == TEXTS and list(restored.texts) == list(TEXTS)
    assert restored.product_ids.tolist() == [70, 20] and restored.row_product.tolist() == [0, 1, 0]
    assert restored.product_ids.dtype == restored.row_product.dtype == np.int64
    assert (restored.decode_fallbacks, restored.mixed) == (1, None)


def test_the_index_lists_each_attribute_s_values_once(source):
    content = columns().to_json(source)
    assert content["attributes"]["category"] == {"values": ["COATS", "TOPS"], "products": [1, 0]}
    assert content["attributes"]["season"] == {"values": [""], "products": [0, 0]}
    assert content["source"] == {"name": "train.h5", "bytes": 5, "modified": source.stat().st_mtime_ns}


def test_a_changed_file_has_another_fingerprint(source):
    before = fingerprint(source)
    source.write_bytes(b"123456")
    assert fingerprint(source) != before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"title": ["Shirt"]}, "its columns differ in length"),
        ({"product_ids": [1, 2, 3]}, "its columns differ in length"),
        ({"product_ids": [70, 70]}, "a product has no image, or the id of another one"),
        ({"row_product": [0, 0, 0]}, "a product has no image, or the id of another one"),
        ({"row_product": [0, 1, 2]}, "row_product refers to what it lacks"),
        ({"row_product": [0, 1, -1]}, "row_product refers to what it lacks"),
        ({"attributes": {"category": {"values": ["TOPS"], "products": [0, 1]}}}, "the attribute category refers to"),
    ],
)
def test_other_content_is_an_error(source, change, error):
    with pytest.raises(ValueError, match=error):
        Columns.from_json({**columns().to_json(source), **change})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": 9}, "format"),
        ({"product_ids": [70.5, 20]}, "product_ids.0"),
        ({"product_ids": [70, 2**63]}, "product_ids.1"),
        ({"row_product": [0, True, 0]}, "row_product.1"),
        ({"title": ["Shirt", None]}, "title.1"),
        ({"description": "text"}, "description"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"category": [0, 1]}}, "attributes.category"),
        ({"source": "train.h5"}, "source"),
    ],
)
def test_content_of_another_type_is_named(source, change, place):
    content = json.dumps({**columns().to_json(source), **change})
    with pytest.raises(ValidationError) as caught:
        INDEX_TYPE.validate_json(content, strict=True)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == place
    assert INDEX_TYPE.validate_json(json.dumps(columns().to_json(source)), strict=True)["format"] == 1
