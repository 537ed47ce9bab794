"""Which images a row of a product table names, and what is wrong with an image file."""

import json
import os
import re
from bisect import bisect_left
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from string import Formatter

from fashionfae_lavis.datasets.datasets.photographs import read_photograph
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.tables import cell_text

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SMALLEST = 8  # pixels of a side; what is smaller is a placeholder
LONGEST = 10  # times the shorter side; what is longer is a banner


def listed_images(cell) -> list[str]:
    """The paths in a cell: a list, a list in JSON, or text with `|`, `;` or line ends between (or commas, if each
    part looks like an image file)."""
    parts = [cell_text(part) for part in cell] if isinstance(cell, list | tuple) else _split(cell_text(cell))
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _split(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [cell_text(part) for part in json.loads(text)]
        except ValueError:
            pass
    parts = re.split(r"[|;\n]", text)
    commas = text.split(",")
    if len(parts) == 1 and all(part.strip().lower().endswith(ENDINGS) for part in commas):
        return commas
    return parts


class Pattern:
    """Files by a pattern such as `{sku}_*.jpg` or `{brand}/{sku}/*`: columns in braces, then wildcards.

    Wildcards (`*`, `?`) stand in the last part only. Raises UserError for others, and for a column that is not there.
    """

    def __init__(self, pattern: str, folder: Path, columns: list[str]):
        self.folder = folder
        self.pattern = pattern
        place, _, name = pattern.rpartition("/")
        try:
            self.columns = [field for _, field, _, _ in Formatter().parse(pattern) if field is not None]
        except ValueError as error:
            raise UserError(f"--pattern {pattern}: {error}; write it like {{sku}}_*.jpg.") from error
        unknown = [column for column in self.columns if column not in columns]
        if unknown:
            raise UserError(
                f"--pattern {pattern}: the table has no column {unknown[0]}; its columns are {', '.join(columns)}."
            )
        if set(place) & set("*?") or not self.columns:
            raise UserError(
                f"--pattern {pattern} needs a column in braces, and wildcards after the last / only, as in "
                "{sku}/*.jpg."
            )

    def images(self, cells: dict) -> list[str]:
        """The files of this row below the folder, sorted."""
        values = {column: cell_text(cells.get(column)) for column in self.columns}
        if not all(values.values()):
            return []
        place, _, name = self.pattern.rpartition("/")
        place = place.format_map(values)
        # A value is itself, whatever characters it has: only the pattern's own are wildcards.
        name = name.format_map({column: re.sub(r"([*?[])", r"[\1]", value) for column, value in values.items()})
        start = re.split(r"[*?[]", name)[0]
        files = _listing(self.folder / place)
        found = []
        for file in files[bisect_left(files, start) :]:
            if not file.startswith(start):
                break
            if fnmatchcase(file, name) and file.lower().endswith(ENDINGS):
                found.append(f"{place}/{file}" if place else file)
        return found


@lru_cache(maxsize=16)
def _listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def image_problem(path: str | Path) -> str:
    """Why this file is of no use as a photograph; empty where it is."""
    try:
        width, height = read_photograph(path).size
    except Exception as error:  # a broken file can make Pillow raise anything
        if not os.path.isfile(path):
            return "is missing"
        if os.path.getsize(path) == 0:
            return "is an empty file"
        return f"cannot be read: {' '.join(str(error).split()) or type(error).__name__}".replace(
            str(path), os.path.basename(path)
        )
    if min(width, height) < SMALLEST:
        return f"is too small: {width} x {height} pixels"
    if max(width, height) > LONGEST * min(width, height):
        return f"is no photograph of a product: {width} x {height} pixels"
    return ""
