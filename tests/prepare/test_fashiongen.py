import h5py
import numpy as np
import pytest
from full_disk import full_disk

from fashionfae_lavis.datasets.datasets import fashiongen_file
from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES, FashionGenFile, index_path
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.fashiongen import check_fashiongen, describe, index_fashiongen


def test_what_check_finds(fashiongen_root):
    before = sorted(fashiongen_root.iterdir())
    (train, validation), notes = check_fashiongen(fashiongen_root)
    assert train.image_shape == (8, 32, 32, 3) and train.products == 4
    assert train.views == {1: 1, 2: 2, 3: 1} and validation.views == {1: 1, 2: 1}
    assert train.decode_fallbacks == 1 and train.missing == {"composition": 1} and train.mixed == 1
    assert train.counts["composition"] == {"100% wool": 3, "": 1}
    assert notes == [
        "1 products are in both files (the first: 20), so not all test products are new",
        "sub category: training lacks 1 classes of validation (POLOS), which recognition counts as errors",
    ]
    said = describe(train)
    assert "8 images of 32 x 32 pixels, 4 products" in said and "composition 1" in said
    assert sorted(fashiongen_root.iterdir()) == before


def test_texts_from_the_index_are_those_of_the_file(fashiongen_root, monkeypatch):
    path = fashiongen_root / FILE_NAMES["train"]
    plain = FashionGenFile(path)
    assert plain.texts["title"] == ["Crème dress", "Élan", "Shirt", "Coat"]
    index_fashiongen(fashiongen_root)
    assert index_path(path).stat().st_size < 2000
    with monkeypatch.context() as patch:
        patch.setattr(fashiongen_file, "_read_columns", None)  # not needed
        indexed = FashionGenFile(path)
    assert indexed.texts == plain.texts and list(indexed.texts) == list(plain.texts)
    assert np.array_equal(indexed.product_ids, plain.product_ids)
    assert np.array_equal(indexed.row_product, plain.row_product)
    assert indexed.columns.decode_fallbacks == plain.columns.decode_fallbacks == 1
    assert np.array_equal(indexed.image(4), plain.image(4))


def test_a_full_disk_leaves_no_index(fashiongen_root):
    index = index_path(fashiongen_root / FILE_NAMES["train"])
    full = pytest.raises(UserError, match=rf"Cannot write {index} \(No space left on device\): free some space")
    with full_disk(index.name), full:
        index_fashiongen(fashiongen_root)
    assert not index.exists()
    index_fashiongen(fashiongen_root)
    assert index.exists()


@pytest.mark.parametrize("damage", ["another file", "half an index", "no list"])
def test_an_index_that_does_not_fit_is_not_used(fashiongen_root, damage, caplog):
    path = fashiongen_root / FILE_NAMES["train"]
    index_fashiongen(fashiongen_root)
    if damage == "another file":
        with h5py.File(path, "r+") as file:
            file["input_name"][4] = b"Changed"
    else:
        content = index_path(path).read_text()
        index_path(path).write_text(content[:100] if damage == "half an index" else "[]")
    titles = FashionGenFile(path).texts["title"]
    assert titles[2] == ("Changed" if damage == "another file" else "Shirt")
    assert "belongs to another file" in caplog.text
