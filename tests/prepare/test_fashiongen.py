import json
import os
import tarfile

import h5py
import numpy as np
import pytest
import webdataset
from datasets.conftest import write

from fashionfae_lavis.datasets.datasets import fashiongen_file
from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES, FashionGenFile, index_path, open_fashiongen
from fashionfae_lavis.datasets.datasets.products import ProductEvalDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import fashiongen_shards
from fashionfae_lavis.prepare.fashiongen import check_fashiongen, describe, index_fashiongen
from fashionfae_lavis.prepare.fashiongen_shards import write_shards

ROWS = [70, 20, 20, 70, 30, 70, 10, 10]


def column(values):
    return np.array([[value] for value in values])


@pytest.fixture
def root(tmp_path):
    """Products in shuffled rows, ISO-8859-1 beside UTF-8, one without composition, one whose rows do not agree."""
    names = {70: "Cr\xe8me dress".encode("iso-8859-1"), 20: "Élan".encode(), 30: b"Shirt", 10: b"Coat"}
    compositions = [b"" if i == 30 else b"100% wool" for i in ROWS]
    seasons = [b"SS2017"] * 7 + [b"FW2016"]
    noise = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    write(
        tmp_path / FILE_NAMES["train"],
        ids=ROWS,
        input_image=noise,
        input_name=column([names[i] for i in ROWS]),
        input_composition=column(compositions),
        input_season=column(seasons),
    )
    write(tmp_path / FILE_NAMES["validation"], ids=[5, 5, 20], size=32, input_subcategory=column([b"POLOS"] * 3))
    return tmp_path


def test_what_check_finds(root):
    before = sorted(root.iterdir())
    (train, validation), notes = check_fashiongen(root)
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
    assert sorted(root.iterdir()) == before


def test_texts_from_the_index_are_those_of_the_file(root, monkeypatch):
    path = root / FILE_NAMES["train"]
    plain = FashionGenFile(path)
    assert plain.texts["title"] == ["Crème dress", "Élan", "Shirt", "Coat"]
    index_fashiongen(root)
    assert index_path(path).stat().st_size < 2000
    with monkeypatch.context() as patch:
        patch.setattr(fashiongen_file, "_read_columns", None)  # not needed
        indexed = FashionGenFile(path)
    assert indexed.texts == plain.texts and list(indexed.texts) == list(plain.texts)
    assert np.array_equal(indexed.product_ids, plain.product_ids)
    assert np.array_equal(indexed.row_product, plain.row_product)
    assert indexed.columns.decode_fallbacks == plain.columns.decode_fallbacks == 1
    assert np.array_equal(indexed.image(4), plain.image(4))


def test_a_full_disk_leaves_no_index(root):
    index = index_path(root / FILE_NAMES["train"])
    index.with_name(f"{index.name}.tmp").symlink_to("/dev/full")
    with pytest.raises(UserError, match=rf"Cannot write {index} \(No space left on device\): free some space"):
        index_fashiongen(root)
    assert not index.exists()
    index_fashiongen(root)
    assert index.exists()


@pytest.mark.parametrize("damage", ["another file", "half an index", "no list"])
def test_an_index_that_does_not_fit_is_not_used(root, damage, caplog):
    path = root / FILE_NAMES["train"]
    index_fashiongen(root)
    if damage == "another file":
        with h5py.File(path, "r+") as file:
            file["input_name"][4] = b"Changed"
    else:
        content = index_path(path).read_text()
        index_path(path).write_text(content[:100] if damage == "half an index" else "[]")
    titles = FashionGenFile(path).texts["title"]
    assert titles[2] == ("Changed" if damage == "another file" else "Shirt")
    assert "belongs to another file" in caplog.text


def items(dataset):
    return [dataset[i] for i in range(len(dataset))]


def test_shards_give_the_same_items_as_the_file(root, tmp_path):
    path = root / FILE_NAMES["train"]
    folder = write_shards(path, tmp_path / "shards", products=2)
    assert sorted(p.name for p in folder.iterdir()) == ["000000.tar", "000001.tar", "index.json", "plan.json"]
    there = folder.with_name(path.name)  # where the file would be
    assert isinstance(open_fashiongen(path), FashionGenFile)
    ours, theirs = (ProductEvalDataset(open_fashiongen(p), np.array, dict) for p in (there, path))
    assert type(ours.file) is fashiongen_file.FashionGenShards
    assert ours.product_ids.tolist() == [70, 20, 30, 10]
    for one, other in zip(items(ours), items(theirs), strict=True):
        assert np.array_equal(one.pop("image"), other.pop("image"))
        assert one == other
    assert ours.file.columns.decode_fallbacks == 1


def test_webdataset_reads_the_shards(root, tmp_path):
    folder = write_shards(root / FILE_NAMES["train"], tmp_path / "shards", products=2)
    file = FashionGenFile(root / FILE_NAMES["train"])
    samples = list(webdataset.WebDataset(str(folder / "{000000..000001}.tar"), shardshuffle=False).decode("rgb8"))
    assert len(samples) == 4
    for product, sample in enumerate(samples):
        about = sample["json"]
        assert about["product_id"] == file.product_ids[product]
        assert about["title"] == file.texts["title"][product]
        assert about["rows"] == np.flatnonzero(file.row_product == product).tolist()
        for view, row in enumerate(about["rows"]):
            assert np.array_equal(sample[f"{view}.png"], file.image(row))


def digests(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_interrupted_run_goes_on_to_the_same_bytes(root, tmp_path, monkeypatch):
    path = root / FILE_NAMES["train"]
    whole = digests(write_shards(path, tmp_path / "a", products=1))
    folder = write_shards(path, tmp_path / "b", products=1)
    for name in ("000001.tar", "000003.tar", "index.json"):
        (folder / name).unlink()
    (folder / "000003.tar.tmp").write_bytes(b"half")
    kept = (folder / "000000.tar").stat().st_mtime_ns
    write_shards(path, tmp_path / "b", products=1)
    assert digests(folder) == whole
    assert (folder / "000000.tar").stat().st_mtime_ns == kept


def test_a_full_disk_leaves_no_shard_that_looks_whole(root, tmp_path):
    path = root / FILE_NAMES["train"]
    folder = tmp_path / "fashiongen_256_256_train.shards"
    folder.mkdir()
    (folder / "000001.tar.tmp").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"Cannot write .*000001.tar \(No space left on device\): free some space"):
        write_shards(path, tmp_path, products=1)
    assert not (folder / "000001.tar").exists() and not (folder / "index.json").exists()
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="under licence"):
        open_fashiongen(path)  # unfinished shards do not count
    (tmp_path / "elsewhere").rename(path)
    write_shards(path, tmp_path, products=1)
    with tarfile.open(folder / "000001.tar") as tar:
        names = tar.getnames()
    assert names == ["00000001.0.png", "00000001.1.png", "00000001.json"]


def test_shards_of_another_file_are_not_mixed_in(root, tmp_path):
    write_shards(root / FILE_NAMES["train"], tmp_path / "s", products=1)
    with pytest.raises(UserError, match="contains shards of another file: delete it, or use another --out"):
        write_shards(root / FILE_NAMES["train"], tmp_path / "s", products=2)


def test_damaged_shards_are_named(root, tmp_path):
    folder = write_shards(root / FILE_NAMES["train"], tmp_path / "s", products=2)
    file = fashiongen_file.FashionGenShards(folder)
    (folder / "000000.tar").write_bytes(b"x" * 4000)
    with pytest.raises(UserError, match="000000.tar is damaged or unfinished"):
        file.image(0)
    content = json.loads((folder / "index.json").read_text())
    content["images"].pop()
    (folder / "index.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="is damaged or unfinished"):
        fashiongen_file.FashionGenShards(folder)
    (folder / "index.json").unlink()
    with pytest.raises(UserError, match="000000.tar is damaged .*[:] delete it and run the command again"):
        write_shards(root / FILE_NAMES["train"], tmp_path / "s", products=2)


def test_a_worker_that_dies_is_one_sentence(root, tmp_path, monkeypatch):
    monkeypatch.setattr(fashiongen_shards, "_write_shard", lambda *args, **kwargs: os._exit(1))
    with pytest.raises(UserError, match="a process that writes shards died: run the command again to resume"):
        write_shards(root / FILE_NAMES["train"], tmp_path / "s")
