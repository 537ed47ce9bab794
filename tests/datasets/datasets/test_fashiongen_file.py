import json
import os
import pickle

import h5py
import numpy as np
import pytest

from fashionfae_lavis.datasets.datasets.fashiongen_file import (
    TEXT_COLUMNS,
    FashionGenFile,
    group_in_order,
    index_path,
    write_index,
)
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.product_text import FIELDS


@pytest.fixture
def path(tmp_path, write_file):
    return write_file(tmp_path / "train.h5")


def test_products_are_grouped_by_id_in_order_of_first_appearance(path):
    file = FashionGenFile(path)
    assert file.product_ids.tolist() == [70, 20, 30, 10]
    assert file.row_product.tolist() == [0, 1, 1, 0, 2, 0, 3, 3]
    assert file.texts["title"] == ["Shirt 70", "Shirt 20", "Shirt 30", "Shirt 10"]
    assert tuple(file.texts) == tuple(TEXT_COLUMNS) == FIELDS


def test_grouping_equals_a_loop():
    ids = np.random.default_rng(0).integers(0, 40, 300)
    distinct, index, first = group_in_order(ids)
    assert distinct.tolist() == list(dict.fromkeys(ids.tolist()))
    assert (distinct[index] == ids).all()
    assert first.tolist() == [ids.tolist().index(i) for i in distinct]


def test_a_product_s_first_row_gives_its_texts(tmp_path, write_file):
    names = np.array([[f"row {row}".encode()] for row in range(8)])
    file = FashionGenFile(write_file(tmp_path / "train.h5", input_name=names))
    assert file.texts["title"] == ["row 0", "row 1", "row 4", "row 6"]


def test_product_ids_may_be_floats_and_texts_of_variable_length(tmp_path, write_file):
    names = np.array([["a"], ["b"], ["c"]], dtype=h5py.string_dtype())
    file = FashionGenFile(
        write_file(
            tmp_path / "x.h5",
            ids=[1, 2, 3],
            input_name=names,
            input_productID=np.array([[7.0], [8.0], [7.0]]),
        )
    )
    assert file.product_ids.tolist() == [7, 8] and file.product_ids.dtype == np.int64
    assert file.texts["title"] == ["a", "b"]


def test_texts_are_iso_8859_1_unless_they_are_utf_8(tmp_path, write_file):
    names = np.array([["Beyoncé".encode("iso-8859-1")], ["Beyoncé".encode()], [b"plain"]])
    file = FashionGenFile(write_file(tmp_path / "x.h5", ids=[1, 2, 3], input_name=names))
    assert file.texts["title"] == ["Beyoncé", "Beyoncé", "plain"]
    assert file.columns.decode_fallbacks == 1


def test_images_are_read_by_row_and_only_then(path, monkeypatch):
    file = FashionGenFile(path)
    assert file._images is None
    for row in (5, 0, 7):
        image = file.image(row)
        assert image.shape == (16, 16, 3) and image.dtype == np.uint8
        assert (image[..., 0] == row).all() and (image[0, :, 1] == np.arange(16)).all()


def test_a_pickled_copy_opens_the_file_itself(path):
    file = FashionGenFile(path)
    file.image(0)
    copy = pickle.loads(pickle.dumps(file))
    assert copy._images is None
    assert (copy.image(3) == file.image(3)).all()


def test_missing_file_says_how_to_get_it_and_what_runs_without(tmp_path):
    with pytest.raises(UserError) as error:
        FashionGenFile(tmp_path / "train.h5")
    message = str(error.value)
    assert str(tmp_path / "train.h5") in message and "\n" not in message
    for part in (
        "under licence",
        "owners",
        "datasets.fashiongen.build_info.images.storage",
        "fashiongen_mini",
        "projects/fashionfae/pretrain.yaml",
    ):
        assert part in message


def test_truncated_file(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="train.h5 is truncated or damaged"):
        FashionGenFile(path)


def test_a_file_that_is_not_hdf5(tmp_path):
    path = tmp_path / "train.h5"
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(UserError, match="train.h5 is not a readable HDF5 file.*signature"):
        FashionGenFile(path)


def test_lacking_columns_are_all_named(tmp_path, write_file):
    path = write_file(tmp_path / "train.h5", input_season=None, input_name=None)
    with pytest.raises(UserError, match="train.h5 lacks the columns input_name, input_season"):
        FashionGenFile(path)


def test_columns_that_nobody_reads_may_be_lacking(tmp_path, write_file):
    assert len(FashionGenFile(write_file(tmp_path / "x.h5", input_pose=None, input_brand=None)).product_ids) == 4


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((8, 3, 16, 16), np.uint8),
        np.zeros((8, 16, 16), np.uint8),
        np.zeros((8, 16, 16, 3), np.float32),
        np.zeros((0, 16, 16, 3), np.uint8),
    ],
)
def test_images_of_another_shape(tmp_path, write_file, images):
    path = write_file(tmp_path / "train.h5", input_image=images)
    with pytest.raises(UserError, match=r"train.h5: input_image must be uint8 of shape \(N, height, width, 3\)"):
        FashionGenFile(path)


def test_a_column_of_another_length(tmp_path, write_file):
    path = write_file(tmp_path / "train.h5", input_gender=np.array([[b"Men"]] * 5))
    with pytest.raises(UserError, match=r"input_gender has shape \(5, 1\) for 8 images"):
        FashionGenFile(path)


def test_damage_inside_an_image_is_found_when_it_is_read(tmp_path, write_file):
    """The file opens, but an image's compressed bytes are wrong."""
    path = write_file(tmp_path / "train.h5", input_image=None)
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    with h5py.File(path, "a") as file:
        images = file.create_dataset("input_image", data=noise, chunks=(1, 64, 64, 3), fletcher32=True)
        chunk = images.id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 100] ^= 0xFF
    path.write_bytes(content)
    file = FashionGenFile(path)
    assert (file.image(2) == noise[2]).all()
    with pytest.raises(UserError, match="train.h5 is truncated or damaged"):
        file.image(3)


def change(path, key, store):
    """Replaces a column by what `store(file, key)` makes."""
    with h5py.File(path, "a") as file:
        del file[key]
        store(file, key)
    return path


def external_link(file, key):
    file[key] = h5py.ExternalLink("secret.h5", key)


def soft_link(file, key):
    file["away"] = h5py.ExternalLink("secret.h5", "/")
    file[key] = h5py.SoftLink(f"/away/{key}")


def virtual_dataset(file, key):
    with h5py.File("secret.h5") as secret:
        source = h5py.VirtualSource(secret[key])
        layout = h5py.VirtualLayout(secret[key].shape, secret[key].dtype)
    layout[...] = source
    file.create_virtual_dataset(key, layout)


def external_storage(file, key):
    with open("secret.txt", "wb") as secret:
        secret.write(b"root:x:0:0:/bin/sh" * 10_000)
    with h5py.File("secret.h5") as example:
        shape, dtype = example[key].shape, example[key].dtype
    file.create_dataset(key, shape, dtype, external=[("secret.txt", 0, h5py.h5f.UNLIMITED)])


def group(file, key):
    file.create_group(key)


@pytest.mark.parametrize("key", ["input_image", "input_name", "input_productID"])
@pytest.mark.parametrize("store", [external_link, soft_link, virtual_dataset, external_storage, group])
def test_data_of_another_file_are_refused(tmp_path, write_file, monkeypatch, store, key):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path / "secret.h5")
    path = change(write_file(tmp_path / "train.h5"), key, store)
    with pytest.raises(UserError, match=rf"train.h5: {key} is not a plain dataset in this file, and may lead to") as e:
        FashionGenFile(path)
    assert "\n" not in str(e.value)


def test_a_linked_file_is_not_even_opened(tmp_path, write_file):
    """Opening a FIFO would wait for ever."""
    path = write_file(tmp_path / "train.h5")
    os.mkfifo(tmp_path / "fifo")
    change(path, "input_name", lambda file, key: file.__setitem__(key, h5py.ExternalLink("fifo", key)))
    with pytest.raises(UserError, match="input_name is not a plain dataset"):
        FashionGenFile(path)


def test_images_that_have_become_a_link_are_refused(tmp_path, write_file):
    file = FashionGenFile(write_file(tmp_path / "train.h5"))
    change(file.path, "input_image", external_link)
    with pytest.raises(UserError, match="input_image is not a plain dataset"):
        file.image(0)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("input_name", np.ones((8, 1)), "input_name must hold texts, not float64"),
        ("input_productID", np.array([[b"a"]] * 8), "input_productID must hold numbers, not .S1"),
        ("input_productID", np.ones((8, 1), bool), "input_productID must hold numbers, not bool"),
        ("input_productID", np.full((8, 1), np.nan), "input_productID must hold integers"),
        ("input_productID", np.full((8, 1), 0.5), "input_productID must hold integers"),
        ("input_productID", np.full((8, 1), 2**63, np.uint64), "input_productID must hold integers"),
        ("input_season", np.array([[b"x"] * 8]), r"input_season has shape \(1, 8\) for 8 images"),
        ("input_season", h5py.Empty("S3"), "input_season has shape None for 8 images"),
        ("input_image", h5py.Empty("u1"), "input_image must be uint8 of shape"),
    ],
)
def test_columns_of_another_type_are_named(tmp_path, write_file, key, values, message):
    path = write_file(tmp_path / "train.h5", **{key: values})
    with pytest.raises(UserError, match=message):
        FashionGenFile(path)


@pytest.mark.parametrize("dtype", [h5py.vlen_dtype(np.int32), h5py.ref_dtype])
def test_objects_are_no_texts(tmp_path, write_file, dtype):
    path = change(
        write_file(tmp_path / "train.h5"), "input_name", lambda file, key: file.create_dataset(key, (8, 1), dtype)
    )
    with pytest.raises(UserError, match="input_name must hold texts, not object"):
        FashionGenFile(path)


@pytest.mark.parametrize(
    ("key", "shape", "options", "message"),
    [
        (
            "input_image",
            (8, 9000, 9000, 3),
            {"dtype": "u1"},
            "input_image is too large: 9000 x 9000 pixels, more than 50 million",
        ),
        ("input_image", (9_000_000, 2, 2, 3), {"dtype": "u1"}, "input_image has 9000000 rows, more than 5,000,000"),
        ("input_image", (8, 1, 50_000, 3), {"dtype": "u1"}, "input_image is not a photograph of a product: 50000 x 1"),
        (
            "input_image",
            (8, 5000, 5000, 3),
            {"dtype": "u1", "chunks": (8, 5000, 5000, 3), "compression": "gzip"},
            r"input_image has chunks of \(8, 5000, 5000, 3\)",
        ),
        ("input_name", (8, 1), {"dtype": "S800000000"}, "input_name has texts of 800,000,000 bytes"),
    ],
)
def test_a_small_file_cannot_ask_for_all_memory(tmp_path, write_file, key, shape, options, message):
    path = change(
        write_file(tmp_path / "train.h5"), key, lambda file, name: file.create_dataset(name, shape, **options)
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=message):
        FashionGenFile(path)


def test_texts_are_read_in_parts(tmp_path, write_file, monkeypatch):
    whole = FashionGenFile(write_file(tmp_path / "train.h5"))
    names = np.array([[f"row {row}".encode()] for row in range(8)])
    mixed = FashionGenFile(write_file(tmp_path / "mixed.h5", input_name=names))
    monkeypatch.setattr("fashionfae_lavis.datasets.datasets.fashiongen_file.ROWS_AT_ONCE", 3)
    assert FashionGenFile(whole.path).texts == whole.texts and whole.columns.mixed == 0
    again = FashionGenFile(mixed.path)
    assert again.texts["title"] == mixed.texts["title"] == ["row 0", "row 1", "row 4", "row 6"]
    assert again.columns.mixed == mixed.columns.mixed == 3


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_regular_file_is_named(tmp_path, kind):
    path = tmp_path / "train.h5"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(UserError, match=r"train.h5 is not a readable HDF5 file \(Not a regular file\): copy the file"):
        FashionGenFile(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: {**content, "attributes": []},
        lambda content: {**content, "row_product": [0] * 8},
        lambda content: {**content, "source": {}},
        lambda content: [content],
    ],
)
def test_an_index_that_was_edited_is_not_used(path, caplog, edit):
    index = write_index(FashionGenFile(path))
    assert FashionGenFile(path).columns.mixed is None  # read from the index
    index.write_text(json.dumps(edit(json.loads(index.read_text()))))
    assert FashionGenFile(path).columns.mixed == 0
    assert (
        f"{index_path(path)} is damaged or belongs to another file: run `fashionfae prepare fashiongen`" in caplog.text
    )
