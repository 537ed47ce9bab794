import h5py
import numpy as np
import pytest

from fashionfae_lavis.datasets.datasets import hdf5_images
from fashionfae_lavis.datasets.datasets.hdf5_images import HDF5Images

SHAPE = (8, 16, 12, 3)
GZIP = {"chunks": (1, *SHAPE[1:]), "compression": "gzip"}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 9, SHAPE, dtype=np.uint8)


def write(path, images, **storage):
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, **storage)
    return HDF5Images(h5py.File(path)["images"])


@pytest.mark.parametrize(
    ("storage", "inflates"),
    [
        (GZIP, True),
        ({**GZIP, "compression_opts": 0}, True),
        ({**GZIP, "chunks": (2, *SHAPE[1:])}, False),
        ({**GZIP, "chunks": (1, 8, 12, 3)}, False),
        ({**GZIP, "shuffle": True}, False),
        ({**GZIP, "fletcher32": True}, False),
        ({**GZIP, "compression": "lzf"}, False),
        ({"chunks": GZIP["chunks"]}, False),
        ({}, False),
    ],
)
def test_every_storage_gives_the_same_images(tmp_path, images, storage, inflates):
    read = write(tmp_path / "x.h5", images, **storage)
    assert read._inflates == inflates
    for row in (5, np.int64(0), 7):
        assert np.array_equal(read[row], images[row]) and read[row].dtype == np.uint8
    read[0][:] = 1  # may be written to, and belongs to the caller
    assert np.array_equal(read[0], images[0])


def test_gzip_chunks_are_not_left_to_hdf5(tmp_path, images, monkeypatch):
    read = write(tmp_path / "x.h5", images, **GZIP)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", None)
    assert np.array_equal(read[3], images[3])


def test_a_chunk_that_was_not_compressed_is_read(tmp_path, images):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("images", SHAPE, "uint8", **GZIP)
        dataset.id.write_direct_chunk((2, 0, 0, 0), images[2].tobytes(), filter_mask=1)
    read = HDF5Images(h5py.File(tmp_path / "x.h5")["images"])
    assert np.array_equal(read[2], images[2])
    assert not read[3].any()  # a chunk that is not stored is zero


@pytest.mark.parametrize("damage", ["flipped", "larger", "smaller"])
def test_a_damaged_chunk_is_never_an_image(tmp_path, images, damage):
    zlib = hdf5_images.isal_zlib
    chunk = zlib.compress(images[4].tobytes())
    if damage == "flipped":
        chunk = chunk[:100] + bytes([chunk[100] ^ 0xFF]) + chunk[101:]
    else:
        pixels = images[4].tobytes()
        chunk = zlib.compress(pixels + bytes(10**6) if damage == "larger" else pixels[:-1])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("images", SHAPE, "uint8", **GZIP)
        dataset.id.write_direct_chunk((4, 0, 0, 0), chunk)
    read = HDF5Images(h5py.File(tmp_path / "x.h5")["images"])
    assert read._inflated(4) is None
    if damage == "flipped":
        with pytest.raises(OSError, match="filter"):
            read[4]


def test_rows_beyond_the_end_are_an_error(tmp_path, images):
    with pytest.raises((IndexError, ValueError)):
        write(tmp_path / "x.h5", images, **GZIP)[len(images)]
