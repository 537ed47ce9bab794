"""Matches web addresses of images to files that the user has downloaded. Nothing is downloaded here."""

import os
import unicodedata
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

SHOWN = 3  # files of one name in a message


def is_address(name: str) -> bool:
    """Returns whether an image is named by a web address; shops also write `//host/...`."""
    return "://" in name or name.startswith("//")


class Downloads:
    """The files below a folder, by the name at the end of a web address.

    The folder is listed at the first address. Memory: about 0.3 kB per file.

    Attributes:
        matched: number of addresses that were matched to a file.
    """

    def __init__(self, folder: Path):
        self.matched = 0
        self._folder = folder

    def find(self, address: str) -> tuple[str, str]:
        """Finds the file of an address.

        Names are compared without query string and percent-encoding. If several files have this name, the one whose
        folders agree best with the address is chosen.

        Returns:
            The path below the folder and "", or the address and why there is no file.
        """
        *folders, name = _plain(address).split("/")
        if not name:
            return address, "is a web address without a file name"
        best = 0
        files: list[str] = []
        for path in self._files.get(name, ()):
            agreeing = _agreeing(folders, _plain(path).split("/")[:-1])
            if agreeing > best or not files:
                best, files = agreeing, []
            if agreeing == best:
                files.append(path)
        if not files:
            return address, f"is a web address without a file: none is called {name}"
        if len(files) > 1:
            return address, f"is a web address of several files: {', '.join(sorted(files)[:SHOWN])}"
        self.matched += 1
        return files[0], ""

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """The paths below the folder by their file's name."""
        files: dict[str, list[str]] = {}
        for directory, _, names in os.walk(self._folder):
            below = os.path.relpath(directory, self._folder)
            for name in names:
                path = name if below == "." else f"{below}/{name}"
                files.setdefault(_plain(name), []).append(path)
        return files


def _plain(address: str) -> str:
    """Returns an address or a path without query string and percent-encoding."""
    return unicodedata.normalize("NFC", unquote(address.partition("?")[0].partition("#")[0]))


def _agreeing(folders: list[str], others: list[str]) -> int:
    """Returns how many folders are equal, counted from the last one."""
    count = 0
    for one, other in zip(reversed(folders), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count
