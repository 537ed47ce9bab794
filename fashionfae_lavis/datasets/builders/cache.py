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
        return with_home(os.environ["FASHIONFAE_CACHE"])
    lavis_cache = with_home(registry.get_path("cache_root"))
    if os.path.isdir(lavis_cache):
        return lavis_cache
    return with_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fashionfae-lavis"


def data_folder(storage: str | None, default: str) -> Path:
    """Returns the folder that `storage` names, below the cache folder unless it is absolute or begins with `~`."""
    return cache_folder() / with_home(storage or default)


def with_home(path: str) -> Path:
    """Expands `~` and `~user`; leaves an unknown user's as it is, where pathlib raises RuntimeError."""
    return Path(os.path.expanduser(path))
