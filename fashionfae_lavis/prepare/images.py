"""The images that a row of a product table names, and the problems of an image file."""

import json
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import UnusableImage, load_photograph
from fashionfae_lavis.prepare.cells import CellError, cell_text
from fashionfae_lavis.prepare.listing import ENDINGS, listing, not_found, split_ending
from fashionfae_lavis.prepare.templates import Pieces, pieces

SMALLEST = 8  # pixels per side; smaller images are placeholders
MOST = 1000  # images of a product
LONGEST = 10  # times the shorter side; longer images are banners
ADDRESS_KEYS = ("src", "url")  # keys of the address in an image that is an object, as in Shopify's products.json
_BETWEEN_ADDRESSES = re.compile(r",\s*(?=https?://)")  # other commas may be part of an address


def listed_images(cell) -> list[str]:
    """Returns the image paths in a cell.

    A cell is a list, a JSON list, or text separated by `|`, `;` or line breaks (or by commas, if each part looks like
    an image file or a web address). An entry of a list may be an object with an address.

    Raises:
        CellError: the cell is no text or names too many images.
    """
    cell = _address(cell)
    parts = [cell_text(_address(part)) for part in cell] if isinstance(cell, list | tuple) else _split(cell_text(cell))
    images = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if len(images) > MOST:
        raise CellError(f"names more than {MOST} images")
    return images


def _address(cell):
    """Returns the address of an image that is an object; other cells are returned as they are."""
    if not isinstance(cell, dict):
        return cell
    return next((cell[key] for key in ADDRESS_KEYS if isinstance(cell.get(key), str)), cell)


def _split(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [cell_text(_address(part)) for part in json.loads(text)]
        except CellError:
            raise
        except (ValueError, RecursionError):
            pass
    parts = [name for part in re.split(r"[|;\n]", text) for name in _BETWEEN_ADDRESSES.split(part)]
    commas = text.split(",")
    if len(parts) == 1 and all(part.strip().lower().endswith(ENDINGS) for part in commas):
        return commas
    return parts


class Pattern:
    """Pattern of image files such as `{sku}_*.jpg` or `{brand}/{sku}/*`, with columns in braces.

    Args:
        pattern: the pattern; wildcards (`*`, `?`) are allowed only after the last `/`.
        folder: the folder that the pattern is relative to.
        columns: the table's columns.

    Raises:
        UserError: the pattern is malformed, leads out of the folder, or names an unknown column.
    """

    def __init__(self, pattern: str, folder: Path, columns: list[str]):
        self.folder = folder
        directory, _, name = pattern.rpartition("/")
        try:
            self.directory, self.name = pieces(directory), pieces(name)
        except ValueError as error:
            raise UserError(f"--pattern {pattern} is malformed ({error}): write it like {{sku}}_*.jpg.") from error
        self.columns = [column for _, column in self.directory + self.name if column is not None]
        unknown = [column for column in self.columns if column not in columns]
        if unknown:
            raise UserError(
                f"--pattern {pattern}: the table has no column {unknown[0]!r}; use one of {', '.join(columns[:30])}."
            )
        if set(directory) & set("*?") or not self.columns:
            raise UserError(
                f"--pattern {pattern} must have a column in braces, and wildcards only after the last /, like "
                "{sku}/*.jpg."
            )
        if _leads_out(pattern):
            raise UserError(f"--pattern {pattern} leads out of the image folder: write it without .. and a leading /.")

    def images(self, cells: dict) -> list[str]:
        """Returns the paths of this row's files below the folder, sorted.

        Case is ignored in endings. It is ignored in the whole name if no file matches otherwise, unless two of the
        files found differ only in case.

        Raises:
            CellError: a value leads out of the folder.
        """
        values = self._values(cells)
        if not all(values.values()):
            return []
        directory = _filled(self.directory, values)
        if _leads_out(directory):
            raise CellError(f"leads out of the image folder: {directory[:100]}")
        # Only the pattern has wildcards; values are matched literally.
        name = _filled(self.name, {column: re.sub(r"([*?[])", r"[\1]", value) for column, value in values.items()})
        start = re.split(r"[*?[]", name)[0][: name.rfind(".") + 1 or None]  # without the ending
        files = listing(self.folder / directory, self.folder)
        found = [file for file in files.starting_with(start) if _matches(_small_ending(file), _small_ending(name))]
        if not found:
            found = [file for file in files.starting_with_letters(start) if _matches(file.lower(), name.lower())]
            if len({file.lower() for file in found}) < len(found):
                return []
        return [f"{directory}/{file}" if directory else file for file in found]

    def problem(self, cells: dict) -> str:
        """Returns why a row has no image."""
        values = self._values(cells)
        empty = [column for column, value in values.items() if not value]
        if empty:
            return f"no image: {empty[0]} is empty"
        looked_for = "/".join(filter(None, (_filled(part, values) for part in (self.directory, self.name))))
        return f"no image: {not_found(looked_for, self.folder)}"

    def _values(self, cells: dict) -> dict[str, str]:
        return {column: cell_text(cells.get(column)) for column in self.columns}


def _filled(template: Pieces, values: dict[str, str]) -> str:
    """Fills the columns of a pattern with their values."""
    return "".join(text + values.get(column or "", "") for text, column in template)


def _matches(file: str, name: str) -> bool:
    return fnmatchcase(file, name) and file.lower().endswith(ENDINGS)


def _small_ending(name: str) -> str:
    return "".join(split_ending(name))


def _leads_out(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def image_problem(name: str, folder: str | Path) -> str:
    """Returns why the file with this name in an image folder cannot be used as a photograph, "" if it can."""
    return checked_photograph(name, folder)[0]


def checked_photograph(name: str, folder: str | Path) -> tuple[str, Image.Image | None]:
    """Returns why the file with this name in an image folder cannot be used, or "" and the photograph."""
    try:
        photograph = load_photograph(os.path.join(folder, name), folder)
    except UnusableImage as error:
        return str(error), None
    width, height = photograph.size
    if min(width, height) < SMALLEST:
        return f"is too small: {width} x {height} pixels", None
    if max(width, height) > LONGEST * min(width, height):
        return f"is not a photograph of a product: {width} x {height} pixels", None
    return "", photograph
