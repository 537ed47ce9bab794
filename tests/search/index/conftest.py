import pytest


@pytest.fixture(params=["lance"])
def location(request, tmp_path):
    """Location of an index that does not exist yet."""
    return str(tmp_path / "index é")
