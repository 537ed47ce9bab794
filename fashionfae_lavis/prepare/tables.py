"""A product table of any kind (CSV, TSV, JSON Lines, Parquet), read row by row."""

import codecs
import csv
import json
import math
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from fashionfae_lavis.errors import UserError

DELIMITERS = ",;\t|"
LOOK_AHEAD = 1000  # lines of JSON whose keys are taken for all the columns
EMPTY = {"", "nan", "null", "n/a", "#n/a"}


class Row(NamedTuple):
    """`number` as a spreadsheet counts: a header is row 1. A row that cannot be read has a `problem` and no cells."""

    number: int
    cells: dict
    problem: str = ""


class Table:
    """A table file; iterating over it gives each `Row`, as often as one likes.

    Text is UTF-8, with or without a mark, or UTF-16 with one. Bytes that are not UTF-8 are taken to be Windows-1252,
    the western European encoding that spreadsheets write (ISO-8859-1 with more quotation marks), wherever they stand:
    a table may be half of each.

    Attributes: `columns`; `decode_fallbacks`, how often bytes were not UTF-8, in the last reading.

    Raises:
        UserError: the file is missing, of an unknown kind, empty, or damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.decode_fallbacks = 0
        if not self.path.is_file():
            raise UserError(f"There is no table {self.path}.")
        kinds = {
            ".csv": self._separated,
            ".tsv": self._separated,
            ".jsonl": self._json_lines,
            ".ndjson": self._json_lines,
            ".parquet": self._parquet,
        }
        if self.path.suffix.lower() not in kinds:
            raise UserError(f"{self.path}: a table's name ends in {', '.join(kinds)}.")
        self._rows = kinds[self.path.suffix.lower()]
        self.columns = self._find_columns()
        if not self.columns:
            raise UserError(f"{self.path} is empty: it needs columns and rows.")

    def __iter__(self) -> Iterator[Row]:
        self.decode_fallbacks = 0
        return self._rows()

    def _find_columns(self) -> list[str]:
        if self._rows == self._parquet:
            return list(self._open_parquet().schema_arrow.names)
        if self._rows == self._separated:
            with self._open_text() as file:
                return self._header(file)[1]
        return list(dict.fromkeys(key for row in islice(self._json_lines(), LOOK_AHEAD) for key in row.cells))

    def _open_text(self):
        start = self._first_bytes()
        encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        codecs.register_error("fashionfae-western", self._western)
        return open(self.path, encoding=encoding, errors="fashionfae-western", newline="")

    def _first_bytes(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                return file.read(4)
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror}).") from error

    def _western(self, error: UnicodeError) -> tuple[str, int]:
        self.decode_fallbacks += 1
        wrong = error.object[error.start : error.end]
        return "".join(_western_letter(byte) for byte in wrong), error.end

    def _header(self, file) -> tuple[Iterator[list[str]], list[str]]:
        """A reader that stands after the header, and the header; the delimiter is the most frequent in its line."""
        first = file.readline()
        delimiter = "\t" if self.path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
        csv.field_size_limit(1 << 30)  # the default stops at texts of 128 kB
        lines = (line.replace("\0", "") for line in chain([first], file))
        reader = csv.reader(lines, delimiter=delimiter)
        return reader, [name.strip() for name in next(reader, [])]

    def _separated(self) -> Iterator[Row]:
        with self._open_text() as file:
            reader, header = self._header(file)
            number = 1
            while True:
                number += 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Row(number, {}, f"cannot be read: {error}")
                    continue
                if len(cells) == len(header):
                    yield Row(number, dict(zip(header, cells, strict=True)))
                elif cells:  # else an empty line
                    yield Row(number, {}, f"has {len(cells)} cells where the header has {len(header)}")

    def _json_lines(self) -> Iterator[Row]:
        with self._open_text() as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    cells = json.loads(line)
                except ValueError as error:
                    yield Row(number, {}, f"is not JSON: {error}")
                    continue
                if isinstance(cells, dict):
                    yield Row(number, cells)
                else:
                    yield Row(number, {}, "is not a JSON object")

    def _open_parquet(self):
        import pyarrow.parquet  # imported here: other tables do without its half second

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except (OSError, pyarrow.ArrowException) as error:
            raise UserError(f"{self.path} is not a readable Parquet file: {str(error).splitlines()[0]}") from error

    def _parquet(self) -> Iterator[Row]:
        number = 0
        # No threads: workers are forked while this is being read.
        for batch in self._open_parquet().iter_batches(batch_size=1000, use_threads=False):
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, cells)


def _western_letter(byte: int) -> str:
    letter = bytes([byte])
    try:
        return letter.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing there
        return letter.decode("iso-8859-1")


def cell_text(value) -> str:
    """A cell as text: empty for null, NaN and what stands for them; the entries of a list with commas between."""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(cell_text, value)))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # numbers with gaps in their column: 42 has become 42.0
    text = str(value).strip()
    return "" if text.lower() in EMPTY else text
