"""Writing of the files: schema, atomicity, and several processes at once."""

import hashlib
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini import fashiongen as fashiongen_mini
from fashionfae_lavis.mini.fashiongen import FILE_NAMES, hdf5_file, prepare
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.mini.fashiongen.drawing import choose_poses, draw_views

KEYS = {
    "index", "index_2", "input_brand", "input_category", "input_composition", "input_concat_description",
    "input_department", "input_description", "input_gender", "input_image", "input_msrpUSD", "input_name",
    "input_pose", "input_productID", "input_season", "input_subcategory",
}  # fmt: skip
SMALL = {"train_products": 12, "validation_products": 6, "image_size": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mini") / "made" / "here"
    prepare(path, **SMALL)
    return path


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def columns(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def test_schema(folder):
    for split, count in (("train", 12), ("validation", 6)):
        with h5py.File(folder / FILE_NAMES[split]) as file:
            assert set(file) == KEYS
            rows = len(file["input_image"])
            assert file["input_image"].shape == (rows, 32, 32, 3)
            assert file["input_image"].dtype == np.uint8
            assert file["input_image"].chunks == (1, 32, 32, 3)
            assert file["index_2"].shape == (rows,)
            assert all(file[name].shape == (rows, 1) for name in KEYS - {"input_image", "index_2"})
            assert file["input_msrpUSD"].dtype == np.float32
            assert file["input_productID"].dtype.kind == "i"
            texts = KEYS - {"index", "index_2", "input_image", "input_msrpUSD", "input_productID"}
            assert all(file[name].dtype.kind == "S" for name in texts)
            assert len(np.unique(file["input_productID"])) == count
            assert file.attrs["generator_version"] == fashiongen_mini.GENERATOR_VERSION


def test_rows_are_the_views_of_the_products(folder):
    data = columns(folder / FILE_NAMES["train"])
    row = 0
    for product in sample_products("train", 12):
        fields = fields_of(product)
        for view, pose in zip(draw_views(product, 32), choose_poses(product), strict=True):
            assert np.array_equal(data["input_image"][row], view)
            assert data["input_productID"][row, 0] == product.product_id
            assert data["input_pose"][row, 0].decode() == pose
            assert data["input_name"][row, 0].decode("iso-8859-1") == fields["title"]
            assert data["input_description"][row, 0].decode("iso-8859-1") == fields["description"]
            assert data["input_category"][row, 0].decode() == product.category
            assert data["input_subcategory"][row, 0].decode() == product.subcategory
            assert data["input_season"][row, 0].decode() == product.season
            assert data["input_composition"][row, 0].decode() == product.composition
            row += 1
    assert row == len(data["input_image"])


def test_a_second_call_changes_nothing_and_draws_nothing(folder, monkeypatch):
    before = [(folder / name).stat().st_mtime_ns for name in FILE_NAMES.values()]
    monkeypatch.setattr(fashiongen_mini, "write_split", lambda *_, **__: pytest.fail("drawn again"))
    start = time.perf_counter()
    prepare(folder, **SMALL)
    assert time.perf_counter() - start < 0.1
    assert [(folder / name).stat().st_mtime_ns for name in FILE_NAMES.values()] == before


def test_another_recipe_or_a_broken_file_is_drawn_again(tmp_path, monkeypatch):
    prepare(tmp_path, 2, 2, 32)
    train, validation = (tmp_path / name for name in FILE_NAMES.values())
    first, kept = digest(train), digest(validation)

    train.write_bytes(train.read_bytes()[:1000])
    prepare(tmp_path, 2, 2, 32)
    assert (digest(train), digest(validation)) == (first, kept)

    prepare(tmp_path, 2, 2, 32, seed=5)
    assert digest(train) != first and digest(validation) != kept

    monkeypatch.setattr(fashiongen_mini, "GENERATOR_VERSION", 999)
    prepare(tmp_path, 2, 2, 32)
    with h5py.File(train) as file:
        assert file.attrs["generator_version"] == 999


def test_what_a_killed_run_left_is_cleaned(tmp_path):
    left = [tmp_path / f"{name}.0123abcd.tmp" for name in FILE_NAMES.values()]
    for path in left:
        path.write_bytes(b"half a file")
    prepare(tmp_path, 2, 2, 32)
    assert not any(path.exists() for path in left)
    assert all((tmp_path / name).exists() for name in FILE_NAMES.values())


def test_a_run_that_stops_leaves_no_file(tmp_path, monkeypatch):
    def stop(file, rows, drawn, image_size):
        next(drawn)
        raise KeyboardInterrupt

    monkeypatch.setattr(hdf5_file, "_write_images", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, 2, 2, 32)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def _prepare_and_report(folder, queue):
    prepare(folder, 12, 4, 32)
    queue.put([(folder / name).stat().st_ino for name in FILE_NAMES.values()])


def test_two_processes_at_once_draw_once(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_prepare_and_report, args=(tmp_path, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    one, other = queue.get(timeout=60), queue.get(timeout=60)
    for worker in workers:
        worker.join()
    assert one == other  # both saw the same files: nobody replaced them


def test_a_killed_worker_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_file, "draw_views", lambda product, size: os._exit(1))
    with pytest.raises(UserError, match="a worker process died"):
        prepare(tmp_path, 2, 2, 32)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/mini.*FASHIONFAE_CACHE"):
        prepare(tmp_path / "file" / "mini", 2, 2, 32)


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 3 << 20}))
    with pytest.raises(UserError, match=r"3 MB are free.*FASHIONFAE_CACHE") as caught:
        prepare(tmp_path, 300, 100, 256)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
