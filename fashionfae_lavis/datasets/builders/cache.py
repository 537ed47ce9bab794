"""The folders of data files and of dataset configurations."""

import os
from pathlib import Path

from lavis.common.registry import registry

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "datasets"


def cache_folder() -> Path:
    """Returns FASHIONFAE_CACHE if it is set, else LAVIS's cache folder if that exists, else the user's cache folder.

    LAVIS's default cache is a path on its authors' machine, so it is used only if it exists.
    """
    if os.environ.get("FASHIONFAE_CACHE"):
        return Path(os.environ["FASHIONFAE_CACHE"]).expanduser()
    lavis_cache = Path(registry.get_path("cache_root")).expanduser()
    if lavis_cache.is_dir():
        return lavis_cache
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fashionfae-lavis"


def data_folder(storage: str | None, default: str) -> Path:
    """Returns the folder that `storage` names, below the cache folder unless it is absolute or begins with `~`."""
    return cache_folder() / Path(storage or default).expanduser()
