import gzip

import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.fashion_mnist import CLASSES, FILES, prepare_fashion_mnist


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes()))


@pytest.fixture
def source(tmp_path):
    """Twenty training and ten test images; an image of class c is black except for a block of brightness 20 c + 50."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, count in zip(FILES.values(), (20, 10), strict=True):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 5:20, 5:20] = (20 * labels + 50)[:, None, None]
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


def test_classes_images_and_splits(source, tmp_path):
    summary = prepare_fashion_mnist(source, tmp_path / "out")
    assert summary.products == {"train": 20, "test": 10}
    files = read_catalogue(tmp_path / "out", needs="sub category")
    assert set(files) == {"train", "test"}
    for file in files.values():
        for row in range(len(file.row_product)):
            name, category, title = CLASSES[row % 10]
            assert file.texts["sub category"][row] == name and file.texts["category"][row] == category
            assert file.texts["title"][row] == title
            image = np.asarray(file.image(row))
            assert (image[0, 0] == 255).all() and (image[10, 10] == 255 - (20 * (row % 10) + 50)).all()
    (tmp_path / "moved").parent.mkdir(exist_ok=True)
    (tmp_path / "out").rename(tmp_path / "moved")  # images lie below it: it can be moved
    assert read_catalogue(tmp_path / "moved")["train"].image(3).size == (28, 28)


def test_half_an_image_of_an_interrupted_run_is_written_again(source, tmp_path):
    prepare_fashion_mnist(source, tmp_path / "out")
    path = tmp_path / "out" / "images" / "train" / "00" / "00007.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    prepare_fashion_mnist(source, tmp_path / "out")
    assert path.read_bytes() == whole and Image.open(path).size == (28, 28)


def test_a_full_disk_leaves_no_catalogue(source, tmp_path):
    out = tmp_path / "out"
    image = out / "images" / "train" / "00" / "00007.png"
    image.parent.mkdir(parents=True)
    image.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"Cannot write .*products.csv \(No space left on device\): free some space"):
        prepare_fashion_mnist(source, out)
    assert [path.name for path in out.iterdir()] == ["images"]
    image.unlink()
    assert prepare_fashion_mnist(source, out).products == {"train": 20, "test": 10}


def test_mistakes_are_named(source, tmp_path):
    images = source / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    for content, message in (
        (whole[:-30], "is not a readable IDX file"),
        (b"none", "is not a readable IDX file"),
        (gzip.compress(b"\0\0\x0d\1\0\0\0\1\0"), "is not a readable IDX file .*its type is not uint8"),
    ):
        images.write_bytes(content)
        with pytest.raises(UserError, match=message):
            prepare_fashion_mnist(source, tmp_path / "out")
    write_idx(images, np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(UserError, match="are not Fashion-MNIST's: download the four files again"):
        prepare_fashion_mnist(source, tmp_path / "out")
    images.unlink()
    with pytest.raises(UserError, match="install the Debian package dataset-fashion-mnist"):
        prepare_fashion_mnist(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("defect", ["a large shape", "more data than its shape", "a damaged stream"])
def test_a_crafted_file_is_one_sentence(source, tmp_path, defect):
    """A gzip file of 1 MB can hold 1 GB."""
    path = source / "train-images-idx3-ubyte.gz"
    head = (
        bytes([0, 0, 8, 3]) + np.array([2**31, 28, 28] if defect == "a large shape" else [1, 28, 28], ">u4").tobytes()
    )
    content = bytearray(gzip.compress(head + bytes(10_000_000), compresslevel=1))
    if defect == "a damaged stream":
        content[12:40] = b"\xff" * 28
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"train-images-idx3-ubyte.gz is not a readable IDX file \(.*\): download it again"
    ):
        prepare_fashion_mnist(source, tmp_path / "out")
