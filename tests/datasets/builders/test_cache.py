from pathlib import Path

from lavis.common.registry import registry

from fashionfae_lavis.datasets.builders.cache import cache_folder, data_folder


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FASHIONFAE_CACHE", "~/somewhere")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/somewhere")

    monkeypatch.delenv("FASHIONFAE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(registry, "get_path", lambda name: str(tmp_path / "lavis"))
    assert cache_folder() == Path("/home/someone/.cache/fashionfae-lavis")
    (tmp_path / "lavis").mkdir()
    assert cache_folder() == tmp_path / "lavis"


def test_data_folders_are_below_the_cache_folder_unless_they_are_absolute(cache, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_folder("shop/photos", "default") == cache / "shop/photos"
    assert data_folder(None, "default") == cache / "default"
    assert data_folder("~/photos", "default") == Path("/home/someone/photos")
    assert data_folder("/data/photos", "default") == Path("/data/photos")


def test_a_home_of_nobody_is_left_as_it_is(cache):
    assert data_folder("~nobody-of-this-name/photos", "default") == cache / "~nobody-of-this-name/photos"
