"""A full disk, for one file."""

from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def full_disk(name):
    """Makes every write to the file of this name fail as on a full disk, if it is written with `files.replacing`."""
    touch = Path.touch

    def touch_or_fill(path, *args, **options):
        if path.name.startswith(f"{name}.") and path.name.endswith(".tmp"):
            path.symlink_to("/dev/full")
        else:
            touch(path, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "touch", touch_or_fill)
        yield
