import io
import json
import os
import tarfile

import numpy as np
import pytest
import webdataset
from full_disk import full_disk
from PIL import Image

from fashionfae_lavis.datasets.datasets import fashiongen_file
from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES, FashionGenFile, open_fashiongen
from fashionfae_lavis.datasets.datasets.products import ProductEvalDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import fashiongen_shards
from fashionfae_lavis.prepare.fashiongen_shards import write_shards


def items(dataset):
    return [dataset[i] for i in range(len(dataset))]


def test_shards_give_the_same_items_as_the_file(fashiongen_root, tmp_path):
    path = fashiongen_root / FILE_NAMES["train"]
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


def test_webdataset_reads_the_shards(fashiongen_root, tmp_path):
    folder = write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "shards", products=2)
    file = FashionGenFile(fashiongen_root / FILE_NAMES["train"])
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


def test_an_interrupted_run_goes_on_to_the_same_bytes(fashiongen_root, tmp_path, monkeypatch):
    path = fashiongen_root / FILE_NAMES["train"]
    whole = digests(write_shards(path, tmp_path / "a", products=1))
    folder = write_shards(path, tmp_path / "b", products=1)
    for name in ("000001.tar", "000003.tar", "index.json"):
        (folder / name).unlink()
    kept = (folder / "000000.tar").stat().st_mtime_ns
    write_shards(path, tmp_path / "b", products=1)
    assert digests(folder) == whole
    assert (folder / "000000.tar").stat().st_mtime_ns == kept


def test_a_full_disk_leaves_no_shard_that_looks_whole(fashiongen_root, tmp_path):
    path = fashiongen_root / FILE_NAMES["train"]
    folder = tmp_path / "fashiongen_256_256_train.shards"
    full = pytest.raises(UserError, match=r"Cannot write .*000001.tar \(No space left on device\): free some space")
    with full_disk("000001.tar"), full:
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


def test_shards_of_another_file_are_not_mixed_in(fashiongen_root, tmp_path):
    write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "s", products=1)
    with pytest.raises(UserError, match="contains shards of another file: delete it, or use another --out"):
        write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "s", products=2)


def test_damaged_shards_are_named(fashiongen_root, tmp_path):
    folder = write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "s", products=2)
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
        write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "s", products=2)


def test_a_worker_that_dies_is_one_sentence(fashiongen_root, tmp_path, monkeypatch):
    monkeypatch.setattr(fashiongen_shards, "_write_shard", lambda *args, **kwargs: os._exit(1))
    with pytest.raises(UserError, match="a process that writes shards died: run the command again to resume"):
        write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "s")


@pytest.fixture
def shards(fashiongen_root, tmp_path):
    return write_shards(fashiongen_root / FILE_NAMES["train"], tmp_path / "s", products=2)


def edit(shards, change):
    content = json.loads((shards / "index.json").read_text())
    change(content)
    (shards / "index.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.update(images=[]), r"index.json is damaged or unfinished \(cannot reshape"),
        (lambda index: index.update(images="all"), r"index.json is damaged \(images: Input should be a valid array"),
        (lambda index: index["images"].__setitem__(3, [0, 1]), r"index.json is damaged \(images.3.2: Field required"),
        (lambda index: index["images"][3].__setitem__(1, 2**70), r"index.json is damaged \(images.3.1: "),
        (lambda index: index["images"][3].__setitem__(0, 7), "000007.tar is damaged or unfinished .No such file"),
        (lambda index: index["images"][3].__setitem__(0, -1), "-00001.tar is damaged or unfinished .No such file"),
        (lambda index: index["images"][3].__setitem__(1, -5), "000000.tar .* refers to more than its [0-9]+ bytes"),
        (lambda index: index["images"][3].__setitem__(2, 2**62), "000000.tar .* refers to more than its [0-9]+ bytes"),
        (lambda index: index["images"][3].__setitem__(2, 0), "index.json .*an image has none or more than"),
        (lambda index: index.pop("title"), r"index.json is damaged \(title: Field required"),
        (lambda index: index.update(row_product=[9] * 8), r"index.json .*row_product refers to what it lacks"),
    ],
)
def test_an_index_that_was_edited_is_one_sentence(shards, change, message):
    edit(shards, change)
    with pytest.raises(UserError, match=message) as caught:
        fashiongen_file.FashionGenShards(shards)
    assert "fashionfae prepare fashiongen --to shards` again" in str(caught.value) and "\n" not in str(caught.value)


def test_images_in_shards_are_trusted_no_more_than_files(shards):
    edit(shards, lambda index: index["images"][3].__setitem__(1, index["images"][3][1] + 7))
    with pytest.raises(
        UserError, match=r"000000.tar is damaged or unfinished \(the image of row 3 cannot be read: it is"
    ):
        fashiongen_file.FashionGenShards(shards).image(3)
    bomb = io.BytesIO()
    Image.new("1", (20_000, 9_000)).save(bomb, "PNG")
    size = len(bomb.getvalue())
    (shards / "000000.tar").write_bytes(bomb.getvalue())
    edit(shards, lambda index: index.update(images=[[0, 0, size]] * 8))
    with pytest.raises(UserError, match="the image of row 0 is too large"):
        fashiongen_file.FashionGenShards(shards).image(0)
    file = fashiongen_file.FashionGenShards(shards)
    (shards / "000000.tar").unlink()
    os.mkfifo(shards / "000000.tar")
    with pytest.raises(UserError, match="Not a regular file"):
        file.image(0)
    with pytest.raises(UserError, match="Not a regular file"):
        fashiongen_file.FashionGenShards(shards)


@pytest.mark.parametrize("name", ["index.json", "000000.tar"])
def test_a_link_out_of_the_folder_is_refused(shards, tmp_path, name):
    (shards / name).rename(tmp_path / "elsewhere")
    (shards / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"{name} is damaged or unfinished \(it is a link out of its folder\)"):
        fashiongen_file.FashionGenShards(shards)


def test_a_shard_with_a_link_is_refused_when_conversion_goes_on(shards, fashiongen_root):
    with tarfile.open(shards / "000000.tar") as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(shards / "000000.tar", "w") as tar:
        for member, content in members:
            if member.name.endswith(".1.png"):
                member.type, member.linkname, content = tarfile.SYMTYPE, "/etc/passwd", b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(
        UserError, match=r"000000.tar is damaged \(.*1.png is not a file\): delete it and run the command"
    ):
        write_shards(fashiongen_root / FILE_NAMES["train"], shards.parent, products=2)


@pytest.mark.parametrize("content", ["", "[1", '"\\ud800"', "3"])
def test_a_plan_that_was_edited_is_one_sentence(shards, fashiongen_root, content):
    (shards / "plan.json").write_text(content)
    with pytest.raises(UserError, match=r"(plan.json is damaged|contains shards of another file).*: delete"):
        write_shards(fashiongen_root / FILE_NAMES["train"], shards.parent, products=2)
