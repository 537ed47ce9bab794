"""Names of the files in an image folder, and suggestions for a file that is missing."""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path

from fashionfae_lavis.photographs import is_inside
from fashionfae_lavis.suggestions import nearest

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SHOWN, LONGEST_NAME = 3, 100  # most names in a message, and most characters of each
AROUND = 10  # a missing name is compared with this many names before and after it in the alphabet


class Listing:
    """The names in a folder. A lookup is a binary search, so a large folder takes hardly longer.

    Attributes:
        names: the names, sorted.
    """

    def __init__(self, names: Iterable[str] = ()):
        self.names = sorted(names)

    @cached_property
    def _folded(self) -> list[tuple[str, str]]:
        """All names in lower case, each with its spelling, sorted."""
        return sorted((name.lower(), name) for name in self.names)

    def starting_with(self, start: str) -> Iterator[str]:
        """Yields the names that start with `start`."""
        for index in range(bisect_left(self.names, start), len(self.names)):
            if not self.names[index].startswith(start):
                return
            yield self.names[index]

    def starting_with_letters(self, start: str) -> Iterator[str]:
        """Yields the names that start with `start`, ignoring case."""
        start = start.lower()
        for index in range(bisect_left(self._folded, (start,)), len(self._folded)):
            folded, name = self._folded[index]
            if not folded.startswith(start):
                return
            yield name

    def meant(self, name: str) -> str | None:
        """Returns the image file that `name` means, if only one differs from it in its ending or else only in case.

        A name without an ending means any image file; `.jpg` means `.JPG`, but not `.jpeg`.
        """
        stem, ending = split_ending(name)
        similar = [
            (other, file)
            for file in self.starting_with_letters(f"{stem}.")
            for other, other_ending in [split_ending(file)]
            if other_ending and len(other) == len(stem) and ending in ("", other_ending)
        ]
        same = [file for other, file in similar if other == stem]
        return next((files[0] for files in (same, [file for _, file in similar]) if len(files) == 1), None)

    def instead_of(self, name: str) -> list[str]:
        """Returns existing names for a missing one: those that start with its stem, else the nearest one, else any."""
        stem = split_ending(name)[0]
        same = list(islice(self.starting_with_letters(stem), SHOWN + 1)) if stem else []
        index = bisect_left(self._folded, (name.lower(),))
        near = nearest(name, (file for _, file in self._folded[max(0, index - AROUND) : index + AROUND]))
        return same or ([near] if near else self.names[: SHOWN + 1])


@lru_cache(maxsize=16)
def listing(directory: Path, folder: Path) -> Listing:
    """Returns the names in a directory; none if it is not below `folder` or cannot be read."""
    try:
        return Listing(os.listdir(directory) if is_inside(directory, folder) else ())
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return Listing()


def split_ending(name: str) -> tuple[str, str]:
    """Splits off the ending of an image file and returns it in lower case, "" if the name has none.

    >>> split_ending("shirt.JPG"), split_ending("v1.5")
    (('shirt', '.jpg'), ('v1.5', ''))
    """
    stem, ending = os.path.splitext(name)
    return (stem, ending.lower()) if ending.lower() in ENDINGS else (name, "")


def meant_file(path: str, folder: Path) -> str | None:
    """Returns the file that an inexact path below an image folder means, see `Listing.meant`; None if there is none."""
    directory, name = os.path.split(path)
    file = listing(folder / directory, folder).meant(name)
    return file and os.path.join(directory, file)


def not_found(path: str, folder: Path) -> str:
    """Returns the end of a sentence about a missing file: the name that was looked for, and names that exist."""
    directory, name = os.path.split(path)
    there = listing(folder / directory, folder)
    if directory and not there.names:
        return not_found(directory, folder).replace("no file", "no folder", 1)
    where = (folder / directory).name or str(folder)
    found = there.instead_of(name)
    names = ", ".join([file[:LONGEST_NAME] for file in found[:SHOWN]] + ["..."][: len(found) - SHOWN])
    others = f"; there {'are' if len(found) > 1 else 'is'} {names}" if found else ", which is empty"
    return f"no file {name[:LONGEST_NAME]} in {where}{others}"
