"""Names of the files in an image folder, and what is there instead of a file that is missing."""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path

from fashionfae_lavis.photographs import is_inside
from fashionfae_lavis.suggestions import nearest

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SHOWN, LONGEST_NAME = 3, 100  # names in a message, and their letters
AROUND = 10  # names before and after a missing one in the alphabet, which are compared with it


class Listing:
    """The names in a folder. Looking one up does not take longer in a large folder.

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
        for place in range(bisect_left(self.names, start), len(self.names)):
            if not self.names[place].startswith(start):
                return
            yield self.names[place]

    def starting_with_letters(self, start: str) -> Iterator[str]:
        """Yields the names that start with `start` in capital or small letters."""
        start = start.lower()
        for place in range(bisect_left(self._folded, (start,)), len(self._folded)):
            folded, name = self._folded[place]
            if not folded.startswith(start):
                return
            yield name

    def meant(self, name: str) -> str | None:
        """Returns the only image file that differs from `name` in the ending, or else in capital letters only.

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
        """Returns names that are there instead of a missing one: of the same stem, the nearest one, or any."""
        stem = split_ending(name)[0]
        same = list(islice(self.starting_with_letters(stem), SHOWN + 1)) if stem else []
        place = bisect_left(self._folded, (name.lower(),))
        near = nearest(name, (file for _, file in self._folded[max(0, place - AROUND) : place + AROUND]))
        return same or ([near] if near else self.names[: SHOWN + 1])


@lru_cache(maxsize=16)
def listing(directory: Path, folder: Path) -> Listing:
    """Returns the names in a directory, none if it is not below `folder`, or cannot be read."""
    try:
        return Listing(os.listdir(directory) if is_inside(directory, folder) else ())
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return Listing()


def split_ending(name: str) -> tuple[str, str]:
    """Splits a file name before the ending of an image, which is returned in lower case, "" for none.

    >>> split_ending("shirt.JPG"), split_ending("v1.5")
    (('shirt', '.jpg'), ('v1.5', ''))
    """
    stem, ending = os.path.splitext(name)
    return (stem, ending.lower()) if ending.lower() in ENDINGS else (name, "")


def meant_file(path: str, folder: Path) -> str | None:
    """Returns the path of the file that a path below an image folder means without naming it exactly, or None."""
    directory, name = os.path.split(path)
    file = listing(folder / directory, folder).meant(name)
    return file and os.path.join(directory, file)


def not_found(path: str, folder: Path) -> str:
    """Returns the end of a sentence about a missing file: the name that was looked for, and what is there."""
    directory, name = os.path.split(path)
    there = listing(folder / directory, folder)
    if directory and not there.names:
        return not_found(directory, folder).replace("no file", "no folder", 1)
    where = (folder / directory).name or str(folder)
    found = there.instead_of(name)
    names = ", ".join([file[:LONGEST_NAME] for file in found[:SHOWN]] + ["..."][: len(found) - SHOWN])
    others = f"; there {'are' if len(found) > 1 else 'is'} {names}" if found else ", which is empty"
    return f"no file {name[:LONGEST_NAME]} in {where}{others}"
