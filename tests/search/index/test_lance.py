import os
import re
import sys

import pytest
from indexed_shop import products

from fashionfae_lavis import locks
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import create_index, open_index


@pytest.mark.filterwarnings("ignore:optimize")
def test_rebuild_removes_old_versions(tmp_path, monkeypatch):
    from datetime import timedelta

    from fashionfae_lavis.search.index import lance

    monkeypatch.setattr(lance, "KEPT", timedelta(0))
    index = create_index(str(tmp_path / "index"), products(300))
    for seed in range(4):
        index.update(products(300, seed=seed))

    def files():
        return sum(len(names) for _, _, names in os.walk(tmp_path / "index"))

    before = files()
    index.rebuild()
    assert files() < before / 2
    assert index.info.rows == 300 and index.check() == []


def test_a_folder_without_an_index_stays_as_it_is(tmp_path):
    with pytest.raises(UserError, match="holds no index: create one with `fashionfae index create"):
        open_index(str(tmp_path))
    with pytest.raises(UserError, match="holds no index"):
        open_index(str(tmp_path / "missing"))
    assert not list(tmp_path.iterdir())


def test_another_lancedb_table_is_refused(tmp_path):
    import lancedb

    lancedb.connect(tmp_path).create_table("products", [{"id": "a"}])
    with pytest.raises(UserError, match="was not written by `fashionfae index`"):
        open_index(str(tmp_path))


def test_two_writers_are_refused(tmp_path):
    index = create_index(str(tmp_path), products(3))
    with locks.hold(tmp_path, ".writing.lock", "busy", "wait"), pytest.raises(UserError) as error:
        index.delete(["it's 00000"])
    assert re.search(
        rf"Another program changes the index in .* \(process {os.getpid()}\): wait for it", str(error.value)
    )
    assert index.info.rows == 3


def test_a_damaged_file_gives_one_sentence(tmp_path):
    create_index(str(tmp_path), products(3))
    [data] = (tmp_path / "products.lance" / "data").glob("*.lance")
    data.write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="cannot be used") as error:
        open_index(str(tmp_path)).browse(None, 0, 3)
    assert "\n" not in str(error.value) and ".rs:" not in str(error.value)
    assert str(error.value).endswith("or delete it and create the index again.")


def test_a_location_is_named():
    for use in (open_index, lambda location: create_index(location, products(1))):
        with pytest.raises(UserError, match="The location of the index is empty: name a folder"):
            use("")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    monkeypatch.delitem(sys.modules, "fashionfae_lavis.search.index.lance", raising=False)
    monkeypatch.delattr("fashionfae_lavis.search.index.lance", raising=False)
    with pytest.raises(UserError, match=re.escape('pip install "fashionfae-lavis[search]"')):
        open_index(str(tmp_path))
