import json

import numpy as np
import pytest

from fashionfae_lavis.datasets.datasets.fashiongen_index import Columns, fingerprint, write_json

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
        ({"format": 9}, "its format is 9, not 1"),
        ({"title": ["Shirt"]}, "its columns differ in length"),
        ({"product_ids": [1, 2, 3]}, "its columns differ in length"),
    ],
)
def test_other_content_is_an_error(source, change, error):
    with pytest.raises(ValueError, match=error):
        Columns.from_json({**columns().to_json(source), **change})
