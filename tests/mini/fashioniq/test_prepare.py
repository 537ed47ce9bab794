"""Writing of the files: layout, repeated calls, and failures."""

import hashlib
import json
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini import fashioniq as fashioniq_mini
from fashionfae_lavis.mini.fashiongen.drawing import draw_front, draw_views
from fashionfae_lavis.mini.fashioniq import prepare
from fashionfae_lavis.mini.fashioniq.requests import CLASSES, POOLS, image_id, sample_split

SMALL = {"train_pool": 30, "validation_pool": 25, "image_size": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fashioniq") / "made" / "here"
    prepare(path, **SMALL)
    return path


def digest(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock")
    content = [(str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def test_the_layout_is_fashioniqs(folder):
    assert {path.name for path in folder.iterdir()} == {"captions", "image_splits", "images", "recipe.json", ".lock"}
    listed = set()
    for split in POOLS:
        for name in CLASSES:
            ids = json.loads((folder / "image_splits" / f"split.{name}.{split}.json").read_text())
            entries = json.loads((folder / "captions" / f"cap.{name}.{split}.json").read_text())
            for entry in entries:
                assert entry.keys() == {"target", "candidate", "captions"}
                assert {entry["target"], entry["candidate"]} <= set(ids) and len(entry["captions"]) == 2
            listed |= set(ids)
    assert {path.name for path in (folder / "images").iterdir()} == {f"{name}.jpg" for name in listed}


def test_the_images_are_the_garments(folder):
    for garments, _ in sample_split("val", SMALL["validation_pool"], seed=0).values():
        for product in garments[::20]:
            drawn = draw_front(product, 32)
            assert np.array_equal(drawn, draw_views(product, 32)[0])
            with Image.open(folder / "images" / f"{image_id(product)}.jpg") as image:
                assert image.mode == "RGB" and image.size == (32, 32)
                assert np.abs(np.asarray(image).astype(int) - drawn).mean() < 8


def test_a_second_call_draws_nothing(folder, monkeypatch):
    monkeypatch.setattr(fashioniq_mini, "_write", lambda *_: pytest.fail("drawn again"))
    prepare(folder, **SMALL)


def test_it_is_drawn_again_when_it_is_not_the_same_or_not_complete(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = digest(folder)
    next((copy / "images").iterdir()).unlink()
    prepare(copy, **SMALL)
    assert digest(copy) == before
    (copy / "recipe.json").write_text("{")
    (copy / ".new").mkdir()  # left by a run that was killed
    prepare(copy, **SMALL)
    assert digest(copy) == before
    prepare(copy, **SMALL, seed=1)
    assert digest(copy) != before


def test_a_run_that_stops_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fashioniq_mini, "_draw", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, **SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "recipe.json"}
    assert (tmp_path / "recipe.json").read_text() == ""


def _prepare_and_report(folder, queue):
    prepare(folder, **SMALL)
    queue.put((folder / "recipe.json").stat().st_ino)


def test_two_processes_at_once_draw_once(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_prepare_and_report, args=(tmp_path, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert queue.get(timeout=300) == queue.get(timeout=300)
    for worker in workers:
        worker.join()


@pytest.mark.parametrize("name", ["images", "captions"])
def test_a_folder_of_somebody_elses_is_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.jpg").touch()
    with pytest.raises(UserError, match=r"contains files that are not FashionIQ-Mini's.*fashioniq_mini.build_info"):
        prepare(tmp_path, **SMALL)
    assert (tmp_path / name / "mine.jpg").exists()


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 0}))
    with pytest.raises(UserError, match=r"Cannot draw FashionIQ-Mini into .*0 MB are free.*FASHIONFAE_CACHE"):
        prepare(tmp_path, **SMALL)
