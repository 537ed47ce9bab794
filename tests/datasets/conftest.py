"""Tiny folders in FashionGen's format."""

import pytest
from fashiongen_files import write


@pytest.fixture
def write_file():
    """Returns the function that writes one file: write_file(path, ids=..., size=..., <column>=...)."""
    return write


@pytest.fixture(scope="session")
def fashiongen_folder(tmp_path_factory):
    """A folder with both files, their images 256 x 256."""
    folder = tmp_path_factory.mktemp("fashiongen")
    write(folder / "fashiongen_256_256_train.h5", size=256)
    write(folder / "fashiongen_256_256_validation.h5", ids=[5, 5, 6], size=256)
    return folder
