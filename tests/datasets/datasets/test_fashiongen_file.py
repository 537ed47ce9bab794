import pickle

import h5py
import numpy as np
import pytest

from fashionfae_lavis.datasets.datasets.fashiongen_file import TEXT_COLUMNS, FashionGenFile, group_in_order
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
