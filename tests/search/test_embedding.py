import csv

import numpy as np
import pyarrow as pa
import pytest
from drawn_photographs import photograph, save_photographs
from filelock import FileLock
from PIL import Image
from trained import checkpoint_of

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search import embedding
from fashionfae_lavis.search.embedding import embed_products
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.parts import Parts
from fashionfae_lavis.search.products import Products, read_products
from fashionfae_lavis.search.vectors import Vectors


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder.open(str(checkpoint_of("fashionfae", tmp_path_factory.mktemp("model") / "last.pth")), "cpu")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(embedding, "BATCH", 4)
    monkeypatch.setattr(embedding, "PART", 8)
    monkeypatch.setattr(embedding, "PATIENCE", 0)


def products_in(folder, count: int) -> Products:
    names = save_photographs(folder, count)
    columns = {"colour": [None if i % 2 else "red" for i in range(count)], "price": [float(i) for i in range(count)]}
    return Products(folder, [f"p{i}" for i in range(count)], names, columns)


def test_vectors_are_those_of_the_encoder(encoder, tmp_path):
    products = products_in(tmp_path / "photos", 21)
    done = embed_products(encoder, products, tmp_path / "v.parquet")
    written = Vectors.read(tmp_path / "v.parquet")
    assert written.table.equals(done.vectors.table) and (written.model, written.digest) == (
        encoder.name,
        encoder.digest,
    )
    expected = encoder.embed_images([photograph(seed) for seed in range(21)])
    np.testing.assert_allclose(written.matrix(), expected, atol=1e-6)
    assert written.ids == products.ids and written.table["image"][3].as_py() == str(tmp_path / "photos" / "0003.png")
    assert written.table["colour"].to_pylist() == products.columns["colour"]
    assert written.table.schema.field("price").type == pa.float64()
    assert done.skipped == [] and done.resumed == 0 and done.report is None
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "v.parquet"}


def test_photographs_that_cannot_be_read_are_skipped_and_named(encoder, tmp_path):
    products = products_in(tmp_path / "photos", 10)
    (tmp_path / "photos" / "0001.png").write_bytes(b"no image")
    (tmp_path / "photos" / "0004.png").unlink()
    Image.new("RGB", (3, 3)).save(tmp_path / "photos" / "0009.png")
    (tmp_path / "photos" / "0005.png").rename(tmp_path / "photos" / "0005.PNG")  # means the same file
    done = embed_products(encoder, products, tmp_path / "v.parquet")
    assert done.vectors.ids == ["p0", "p2", "p3", "p5", "p6", "p7", "p8"]
    assert done.vectors.table["image"][3].as_py().endswith("0005.PNG")
    expected = encoder.embed_images([photograph(seed) for seed in (0, 2, 3, 5, 6, 7, 8)])
    np.testing.assert_allclose(done.vectors.matrix(), expected, atol=1e-6)
    with open(done.report, newline="") as file:
        rows = list(csv.reader(file))
    assert done.report == tmp_path / "v.skipped.csv" and rows[0] == ["id", "image", "problem"]
    assert [row[0] for row in rows[1:]] == ["p1", "p4", "p9"]
    assert [row[2].partition(":")[0] for row in rows[1:]] == ["cannot be read", "is missing", "is too small"]

    for name in ("0001.png", "0004.png", "0009.png"):
        photograph(0).save(tmp_path / "photos" / name)
    assert embed_products(encoder, products, tmp_path / "v.parquet").report is None
    assert not (tmp_path / "v.skipped.csv").exists()


class Stopped(Exception):
    pass


def stop_after(monkeypatch, parts: int) -> None:
    """Makes the writing of the part after so many fail."""
    write, written = Parts.write, []

    def limited(file, part):
        if len(written) == parts:
            raise Stopped
        written.append(file)
        write(file, part)

    monkeypatch.setattr(Parts, "write", staticmethod(limited))


def test_an_interrupted_embedding_continues(encoder, tmp_path, monkeypatch):
    products = products_in(tmp_path / "photos", 28)  # four parts
    embed_products(encoder, products, tmp_path / "whole.parquet")
    (tmp_path / "v.parquet").write_bytes(b"older")
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        stop_after(patched, 2)
        embed_products(encoder, products, tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == b"older"

    photograph(99).save(tmp_path / "photos" / "0009.png")  # of the second part, which is embedded again
    done = embed_products(encoder, products, tmp_path / "v.parquet")
    assert done.resumed == 8 and not (tmp_path / "v.parquet.parts").exists()
    whole, rows = Vectors.read(tmp_path / "whole.parquet").matrix(), done.vectors.matrix()
    same = [i for i in range(28) if i != 9]
    np.testing.assert_allclose(rows[same], whole[same], atol=1e-6)
    assert np.abs(rows[9] - whole[9]).max() > 1e-3


def test_parts_of_another_model_are_not_used(encoder, tmp_path, monkeypatch):
    products = products_in(tmp_path / "photos", 16)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        stop_after(patched, 1)
        embed_products(encoder, products, tmp_path / "v.parquet")
    other = Encoder.open(str(checkpoint_of("fashion_clip", tmp_path / "clip.pth")), "cpu")
    done = embed_products(other, products, tmp_path / "v.parquet")
    assert done.resumed == 0 and done.vectors.digest == other.digest != encoder.digest
    np.testing.assert_allclose(done.vectors.matrix(), other.embed_images([photograph(i) for i in range(16)]), atol=1e-6)


def test_what_cannot_be_embedded(encoder, tmp_path):
    products = products_in(tmp_path / "photos", 2)
    with pytest.raises(UserError, match="v.csv must be a .parquet or .npz file"):
        embed_products(encoder, products, tmp_path / "v.csv")
    (tmp_path / "v.parquet.parts").mkdir()
    with (
        FileLock(tmp_path / "v.parquet.parts" / ".lock"),
        pytest.raises(UserError, match="Another `fashionfae embed` is running in .*v.parquet.parts"),
    ):
        embed_products(encoder, products, tmp_path / "v.parquet")
    for name in products.images:
        (tmp_path / "photos" / name).write_bytes(b"no image")
    with pytest.raises(UserError, match="None of 2 photographs can be used; the first one cannot be read"):
        embed_products(encoder, products, tmp_path / "v.parquet")


def test_a_diverged_model(tmp_path):
    diverged = Encoder.open(str(checkpoint_of("fashionfae", tmp_path / "last.pth")), "cpu")
    next(diverged.adapter.model.image_encoder.parameters()).data.fill_(float("nan"))
    save_photographs(tmp_path / "photos", 1)
    with pytest.raises(UserError, match="gives embeddings that are NaN or infinite"):
        embed_products(diverged, read_products(tmp_path / "photos"), tmp_path / "v.parquet")


def test_files_of_others_next_to_the_parts_stay(encoder, tmp_path):
    folder = tmp_path / "v.parquet.parts"
    folder.mkdir()
    (folder / "mine.npz").write_bytes(b"precious")
    embed_products(encoder, products_in(tmp_path / "photos", 3), tmp_path / "v.parquet")
    assert [path.name for path in folder.iterdir()] == ["mine.npz"]
