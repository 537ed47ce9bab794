"""Reading of product tables (CSV, TSV, Excel, JSON, JSON Lines, Parquet), row by row.

An unreadable row is returned with its problem, and an unreadable file raises UserError. No row takes more than
`LONGEST_ROW` characters of memory.
"""

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.cells import Row, Unreadable, damaged, is_missing
from fashionfae_lavis.prepare.excel import workbook_columns, workbook_rows
from fashionfae_lavis.prepare.json_table import json_rows

DELIMITERS = ",;\t|"
LOOK_AHEAD = 1000  # number of JSON lines whose keys become the columns
LONGEST_ROW = 1 << 23  # characters
# A column of a Parquet file is refused if it unpacks to more bytes than the first, and to more times its size than the
# second.
LARGEST_BOMB, MOST_PACKED = 1 << 27, 100
BATCH = 32  # rows of a Parquet file in memory
MOST_COLUMNS = 10_000
SHOWN_COLUMNS, SHOWN_LETTERS = 30, 50  # in messages, of each column
# Five of these bytes are undefined in Windows-1252 and stay as in ISO-8859-1.
_WINDOWS_LETTERS = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class Table:
    """A table file. Iterating over it yields each `Row`, any number of times.

    Text is UTF-8, UTF-16 or UTF-32, with or without a byte order mark. Bytes that are not UTF-8 are read as
    Windows-1252, the western European encoding that spreadsheets write (ISO-8859-1 with more quotation marks), so a
    table may mix both.

    In a column of numbers, whole numbers lose their `.0`: pandas writes `2011` as `2011.0` if a cell is missing.

    Attributes:
        columns: the names of the columns.
        repeated: names that several columns have.
        decode_fallbacks: number of byte sequences that were not UTF-8 in the last iteration.

    Raises:
        UserError: the file is missing, not a regular file, of an unknown format, empty, or damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.decode_fallbacks = 0
        self._numbers: frozenset[str] | None = None
        self._count = 0
        if not _is_file(self.path):
            raise UserError(f"The table {self.path} is missing or not a file: check the path after --table.")
        formats: dict[str, tuple[Callable[[], Iterator[Row]], Callable[[], list[str]]]] = {
            ".csv": (self._separated, self._separated_columns),
            ".tsv": (self._separated, self._separated_columns),
            ".xlsx": (lambda: workbook_rows(self.path), lambda: workbook_columns(self.path)),
            ".json": (self._json, self._first_keys),
            ".jsonl": (self._json_lines, self._first_keys),
            ".ndjson": (self._json_lines, self._first_keys),
            ".parquet": (self._parquet, self._parquet_columns),
        }
        if self.path.suffix.lower() not in formats:
            raise UserError(f"{self.path} has an unknown format: use a table whose name ends in {', '.join(formats)}.")
        self._rows, find_columns = formats[self.path.suffix.lower()]
        names = find_columns()
        if not any(names):
            raise UserError(f"{self.path} is empty: use a table with columns and rows.")
        if len(names) > MOST_COLUMNS:
            raise UserError(f"{self.path} has {len(names)} columns: use a table with at most {MOST_COLUMNS}.")
        self.columns = list(dict.fromkeys(names))
        self.repeated = frozenset(name for name, times in Counter(names).items() if times > 1)

    def head(self, rows: int) -> Iterator[Row]:
        """Yields the first rows as they are written, and reads no further."""
        return islice(self._readable_rows(), rows)

    def count(self) -> int:
        """Returns the number of rows. The first call reads the whole table."""
        self._whole_numbers()
        return self._count

    def __iter__(self) -> Iterator[Row]:
        numbers = self._whole_numbers()
        self.decode_fallbacks = 0
        for row in self._readable_rows():
            for column in numbers:
                value = row.cells.get(column)
                if isinstance(value, str):
                    row.cells[column] = value.strip().removesuffix(".0")
            yield row

    def shown_columns(self) -> str:
        """Returns the names of the columns for a message."""
        more = len(self.columns) - SHOWN_COLUMNS
        return ", ".join(name[:SHOWN_LETTERS] for name in self.columns[:SHOWN_COLUMNS]) + (
            f" and {more} more" if more > 0 else ""
        )

    def _readable_rows(self) -> Iterator[Row]:
        """Yields each row; names the table in an OSError, which could also come from a file written meanwhile."""
        try:
            yield from self._rows()
        except OSError as error:
            raise damaged(self.path, error) from error

    def _too_long(self, number: int) -> UserError:
        return UserError(f"{self.path}: rows from {number} on are longer than {LONGEST_ROW} characters: shorten them.")

    def _separated_columns(self) -> list[str]:
        try:
            with self._open_text() as file:
                return self._header(_CsvLines(file, self.path))[1]
        except OSError as error:
            raise damaged(self.path, error) from error

    def _parquet_columns(self) -> list[str]:
        try:
            return list(self._open_parquet().schema_arrow.names)
        except UnicodeDecodeError as error:
            raise damaged(self.path, error) from error

    def _first_keys(self) -> list[str]:
        keys: dict[str, None] = {}
        for row in islice(self._readable_rows(), LOOK_AHEAD):
            keys.update(dict.fromkeys(row.cells))
            if len(keys) > MOST_COLUMNS:
                break
        return list(keys)

    def _whole_numbers(self) -> frozenset[str]:
        """Returns the columns of numbers in which one ends in `.0`. The first call also counts the rows."""
        if self._numbers is not None:
            return self._numbers
        candidates = dict.fromkeys(self.columns, False)
        self._count = 0
        for row in self._readable_rows():
            self._count += 1
            for column in list(candidates):
                value = row.cells.get(column)
                if value is None or (isinstance(value, str) and is_missing(value)):
                    continue
                match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
                if not match:
                    del candidates[column]
                elif match[1] == ".0":
                    candidates[column] = True
        self._numbers = frozenset(column for column, found in candidates.items() if found)
        return self._numbers

    def _open_text(self):
        with open(self.path, "rb") as file:
            encoding = json.detect_encoding(file.read(4))
        codecs.register_error("fashionfae-western", self._western)
        # In UTF-16 and UTF-32, a wrong byte says nothing about its letter.
        errors = "fashionfae-western" if encoding.startswith("utf-8") else "replace"
        return open(self.path, encoding=encoding, errors=errors, newline="")

    def _western(self, error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)  # an error handler of `open` for reading
        self.decode_fallbacks += 1
        return _western_text(error.object[error.start : error.end]), error.end

    def _header(self, lines: "_CsvLines") -> tuple[Iterator[list[str]], list[str]]:
        """Returns a reader positioned after the header, and the header, whose most frequent delimiter is used."""
        first = next(lines, "")
        delimiter = "\t" if self.path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
        csv.field_size_limit(LONGEST_ROW)  # the default rejects texts above 128 kB
        lines.put_back(first)
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            return reader, [name.strip() for name in lines.row(reader)]
        except (csv.Error, StopIteration):
            return reader, []

    def _separated(self) -> Iterator[Row]:
        with self._open_text() as file:
            lines = _CsvLines(file, self.path)
            reader, header = self._header(lines)
            while True:
                try:
                    cells = lines.row(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Row(lines.number, {}, f"cannot be read: {error}")
                    continue
                if len(cells) == len(header):
                    yield Row(lines.number, dict(zip(header, cells, strict=True)))
                elif cells:  # else an empty line
                    yield Row(lines.number, {}, f"has {len(cells)} cells where the header has {len(header)}")

    def _json(self) -> Iterator[Row]:
        with self._open_text() as file:
            yield from json_rows(self.path, file)

    def _json_lines(self) -> Iterator[Row]:
        with self._open_text() as file:
            number = 0
            while line := file.readline(LONGEST_ROW):
                number += 1
                if len(line) == LONGEST_ROW and not line.endswith(("\n", "\r")):
                    while (rest := file.readline(LONGEST_ROW)) and not rest.endswith(("\n", "\r")):
                        pass
                    yield Row(number, {}, f"is longer than {LONGEST_ROW} characters")
                elif line.strip():
                    yield _json_row(number, line)

    def _open_parquet(self):
        import pyarrow.parquet  # imported late, because it takes half a second

        try:
            # Without a buffer a row group is read in pieces.
            file = pyarrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise damaged(self.path, error) from error
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        for first, group in zip(accumulate((group.num_rows for group in groups), initial=1), groups, strict=False):
            if group.total_byte_size > LONGEST_ROW * max(1, group.num_rows):
                raise self._too_long(first)
            for column in map(group.column, range(group.num_columns)):
                if column.total_uncompressed_size > max(LARGEST_BOMB, MOST_PACKED * column.total_compressed_size):
                    raise UserError(
                        f"{self.path}: column {column.path_in_schema} unpacks to more than {MOST_PACKED} times its "
                        "size, which takes too much memory: write the table without compression."
                    )
        return file

    def _parquet(self) -> Iterator[Row]:
        from pyarrow import ArrowException

        number = 0
        try:
            # Use no threads, because workers are forked during the iteration.
            for batch in self._open_parquet().iter_batches(batch_size=BATCH, use_threads=False):
                if batch.nbytes > BATCH * LONGEST_ROW:
                    raise self._too_long(number + 1)
                columns = [self._parquet_cells(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield Row(number, dict(zip(batch.schema.names, cells, strict=True)))
        except (OSError, ArrowException) as error:
            raise damaged(self.path, error) from error

    def _parquet_cells(self, column) -> list[Any]:
        """Converts a column of a batch; a cell that Python cannot represent becomes `Unreadable`."""
        try:
            return column.to_pylist()
        except (ValueError, OverflowError, LookupError, NotImplementedError):
            return [self._parquet_cell(cell) for cell in column]

    def _parquet_cell(self, cell) -> Any:
        try:
            return cell.as_py()
        except UnicodeDecodeError:
            self.decode_fallbacks += 1
            return _western_text(cell.as_buffer().to_pybytes()) if hasattr(cell, "as_buffer") else Unreadable("text")
        except (ValueError, OverflowError, LookupError, NotImplementedError) as error:
            return Unreadable(f"{cell.type} ({' '.join(str(error).split())})")


class _CsvLines:
    """Lines of a CSV file. Rejects a row that is too long, and a quotation mark that is never closed.

    Attributes:
        number: the row that was read last.
    """

    def __init__(self, file, path: Path):
        self.number = 0
        self._file, self._path = file, path
        self._size = 0
        self._ended = False
        self._next = ""

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        line = self._next or self._file.readline(LONGEST_ROW + 1)
        self._next = ""
        self._ended = not line
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size > LONGEST_ROW:
            raise UserError(
                f"{self._path}: row {self.number} is longer than {LONGEST_ROW} characters, perhaps because a quotation "
                "mark is not closed: close it, or shorten the row."
            )
        return line.replace("\0", "")

    def put_back(self, line: str) -> None:
        """Makes `line` the next one."""
        self._next = line

    def row(self, reader: Iterator[list[str]]) -> list[str]:
        """Reads the next row of a reader of these lines.

        Raises:
            StopIteration: there is no further row.
            csv.Error: the row cannot be read.
            UserError: the row does not end.
        """
        self.number += 1
        self._size = 0
        cells = next(reader)
        if self._ended:  # the reader wanted another line
            raise UserError(
                f"{self._path}: a quotation mark in row {self.number} is not closed, and the rest of the table belongs "
                "to its cell: close it, or double a quotation mark that is part of a text."
            )
        return cells


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no permission, or a name that no file can have
        return False


def _json_row(number: int, line: str) -> Row:
    try:
        cells = json.loads(line)
    except RecursionError:
        return Row(number, {}, "is nested too deeply")
    except ValueError as error:
        return Row(number, {}, f"is not JSON: {error}")
    return Row(number, cells) if isinstance(cells, dict) else Row(number, {}, "is not a JSON object")


def _western_text(wrong: bytes) -> str:
    return wrong.decode("iso-8859-1").translate(_WINDOWS_LETTERS)
