"""Reading of product tables (CSV, TSV, JSON Lines, Parquet), row by row."""

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
LOOK_AHEAD = 1000  # number of JSON lines whose keys become the columns
EMPTY = {"", "nan", "null", "n/a", "#n/a"}


class Row(NamedTuple):
    """A row, numbered as in a spreadsheet, where a header is row 1. An unreadable row has a `problem` and no cells."""

    number: int
    cells: dict
    problem: str = ""


class Table:
    """A table file. Iterating over it yields each `Row`, any number of times.

    Text is UTF-8 with or without a byte order mark, or UTF-16 with one. Bytes that are not UTF-8 are read as
    Windows-1252, the western European encoding that spreadsheets write (ISO-8859-1 with more quotation marks), so a
    table may mix both.

    Attributes:
        columns: the names of the columns.
        decode_fallbacks: number of byte sequences that were not UTF-8 in the last iteration.

    Raises:
        UserError: the file is missing, of an unknown format, empty, or damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.decode_fallbacks = 0
        if not self.path.is_file():
            raise UserError(f"The table {self.path} is missing: check the path after --table.")
        formats = {
            ".csv": self._separated,
            ".tsv": self._separated,
            ".jsonl": self._json_lines,
            ".ndjson": self._json_lines,
            ".parquet": self._parquet,
        }
        if self.path.suffix.lower() not in formats:
            raise UserError(f"{self.path} has an unknown format: use a table whose name ends in {', '.join(formats)}.")
        self._rows = formats[self.path.suffix.lower()]
        self.columns = self._find_columns()
        if not self.columns:
            raise UserError(f"{self.path} is empty: use a table with columns and rows.")

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
            raise UserError(
                f"{self.path} cannot be read ({error.strerror}): change its permissions, or copy it."
            ) from error

    def _western(self, error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)  # an error handler of `open` for reading
        self.decode_fallbacks += 1
        wrong = error.object[error.start : error.end]
        return "".join(_western_letter(byte) for byte in wrong), error.end

    def _header(self, file) -> tuple[Iterator[list[str]], list[str]]:
        """Returns a reader positioned after the header, and the header; its most frequent delimiter is used."""
        first = file.readline()
        delimiter = "\t" if self.path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
        csv.field_size_limit(1 << 30)  # the default rejects texts above 128 kB
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
        import pyarrow.parquet  # imported late, because it takes half a second

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except (OSError, pyarrow.ArrowException) as error:
            raise UserError(
                f"{self.path} is not a readable Parquet file ({str(error).splitlines()[0]}): write it again."
            ) from error

    def _parquet(self) -> Iterator[Row]:
        number = 0
        # Use no threads, because workers are forked during the iteration.
        for batch in self._open_parquet().iter_batches(batch_size=1000, use_threads=False):
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, cells)


def _western_letter(byte: int) -> str:
    letter = bytes([byte])
    try:
        return letter.decode("cp1252")
    except UnicodeDecodeError:  # Windows-1252 does not define five bytes
        return letter.decode("iso-8859-1")


def cell_text(value) -> str:
    """Converts a cell to text: "" for null, NaN and their spellings; joins the entries of a list by commas."""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(cell_text, value)))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column with gaps turns 42 into 42.0
    text = str(value).strip()
    return "" if text.lower() in EMPTY else text
