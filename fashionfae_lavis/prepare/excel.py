"""Reading of Excel workbooks (.xlsx): the rows of the first sheet, with values as the sheet shows them.

A workbook is a zip file. Its parts may not unpack to more than `LARGEST` bytes. Rows are read one by one, but all texts
of a workbook are in memory.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.cells import Row, damaged

LARGEST = 250_000_000  # bytes of all parts together
LARGEST_SMALL_PART = 16_000_000  # bytes of a part that is neither a sheet nor the list of texts, such as the styles
LAST_ROW = 1 << 20  # Excel's limit
BATCH = 256  # rows
_BIG_PARTS = ("xl/worksheets/", "xl/sharedStrings")
_LOCALE = re.compile(r"\[\$([^\]-]*)[^\]]*\]")  # [$€-407] is a euro sign as written in Germany
_NOT_SHOWN = re.compile(r'\[[^\]]*\]|[_*].|["\\]')  # colours and conditions, widths of a sign, quotation marks
_FORMAT = re.compile(r"([^\d#?/,]*)([0#?,]*[0#?])(?:\.(0*))?([^\d#?/,]*)")  # text, digits, decimals, text


def workbook_columns(path: Path) -> list[str]:
    """Returns the texts of the first row that is not empty, without empty ones.

    Raises:
        UserError: the workbook cannot be read, or openpyxl is missing.
    """
    return list(filter(None, next((header for _, header, _ in _rows(path)), [])))


def workbook_rows(path: Path) -> Iterator[Row]:
    """Yields each row below the header that is not empty.

    Raises:
        UserError: the workbook cannot be read, or openpyxl is missing.
    """
    for number, header, values in _rows(path):
        if values:
            yield Row(number, {name: value for name, value in zip(header, values, strict=False) if name})


def _rows(path: Path) -> Iterator[tuple[int, list[str], list[Any]]]:
    """Yields number, header and values of each row that is not empty; no values for the header itself."""
    header: list[str] = []
    with _first_sheet(path) as sheet:
        rows = enumerate(sheet.iter_rows(max_row=LAST_ROW), start=1)
        while batch := _batch(path, rows):
            for number, values in batch:
                if not header and any(values):
                    header = ["" if value is None else str(value).strip() for value in values]
                    yield number, header, []
                elif any(value not in (None, "") for value in values):
                    yield number, header, values + [None] * (len(header) - len(values))


def _batch(path: Path, rows: Iterator[tuple[int, Any]]) -> list[tuple[int, list[Any]]]:
    """Reads the next rows. openpyxl raises all kinds of exceptions for damaged files, and warns of what it skips."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [(number, [shown_value(cell) for cell in cells]) for number, cells in islice(rows, BATCH)]
        except Exception as error:
            raise damaged(path, error) from error


@contextmanager
def _first_sheet(path: Path) -> Iterator[Any]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError(
            f"{path} needs openpyxl: pip install 'fashionfae-lavis[excel]', or save the sheet as CSV."
        ) from error
    _check_size(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            workbook = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        except Exception as error:
            raise damaged(path, error) from error
    try:
        if not workbook.worksheets:
            raise UserError(f"{path} has no sheet with cells: save the sheet of the products as CSV.")
        workbook.worksheets[0].reset_dimensions()  # other programs write wrong ones
        yield workbook.worksheets[0]
    finally:
        workbook.close()


def _check_size(path: Path) -> None:
    """Raises UserError if the file is no zip file, or unpacks to too much."""
    try:
        with ZipFile(path) as file:
            parts = [part for part in file.infolist() if part.filename.endswith((".xml", ".rels"))]
    except BadZipFile as error:
        raise UserError(
            f"{path} is not an Excel workbook (.xlsx), or has a password: save it again as .xlsx, or as CSV."
        ) from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise damaged(path, error) from error
    small = [part.file_size for part in parts if not part.filename.startswith(_BIG_PARTS)]
    if sum(part.file_size for part in parts) > LARGEST or max(small, default=0) > LARGEST_SMALL_PART:
        raise UserError(f"{path} unpacks to too many bytes: save the sheet of the products as CSV.")


def shown_value(cell: Any) -> Any:
    """Returns the value of a cell of openpyxl, as text if the sheet shows more than the number.

    Percentages and prices keep their sign and decimals, article numbers their leading zeros. A date without a time is a
    date. Other numbers are rounded to 15 digits, as in Excel.
    """
    value = cell.value
    if isinstance(value, datetime):
        return value.date() if value.time() == time() else value
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    return _shown_number(value, cell.number_format) or (float(f"{value:.15g}") if isinstance(value, float) else value)


def _shown_number(value: float, number_format: str) -> str:
    """Returns the number with the text of its format, "" if the format is a plain one or not understood."""
    found = _FORMAT.fullmatch(_NOT_SHOWN.sub("", _LOCALE.sub(r"\1", number_format.split(";")[0])).strip())
    if not found:
        return ""
    before, digits, decimals, after = found.groups(default="")
    if before or after:
        shown = value * 100 if "%" in before + after else value
        return f"{before}{shown:.{len(decimals)}f}{after}"
    return f"{value:0{len(digits)}.0f}" if re.fullmatch("00+", digits) and not decimals else ""
