"""Vectors as the rows of an index, and rows as hits.

The columns of the products are called c0, c1, ... in the engines, so that a shop may use any names. `Contents` says
which is which.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index.base import Contents, Hit
from fashionfae_lavis.search.index.thumbnails import thumbnails
from fashionfae_lavis.search.vectors import Vectors
from fashionfae_lavis.search.where import ColumnType, can_be_stored
from fashionfae_lavis.suggestions import hint

CHUNK = 128  # rows whose thumbnails one worker makes at a time
LONGEST_ID = 1000  # bytes; PostgreSQL cannot look up much longer ones
SHOWN, LONGEST_SHOWN = 5, 200  # ids or problems in a message, and their letters
UNIT = 1e-3  # largest difference of a vector's length from 1


def contents_of(vectors: Vectors) -> Contents:
    """Returns the contents of a new index of these vectors.

    Raises:
        UserError: the vectors are damaged.
    """
    columns = {name: _type(name, vectors.table.schema.field(name).type) for name in vectors.columns}
    _check_rows(vectors)
    return Contents(vectors.model, vectors.digest, vectors.dim, columns)


def check_fits(vectors: Vectors, contents: Contents, location: str) -> None:
    """Checks that vectors can be added to an index.

    Raises:
        UserError: they are of another model, have other columns, or are damaged.
    """
    if vectors.digest != contents.digest or vectors.dim != contents.dim:
        raise UserError(
            f"{location} holds vectors of the model {contents.model} ({contents.digest}), these are of "
            f"{vectors.model} ({vectors.digest}): embed the products with the index's model, or replace the index."
        )
    for name in vectors.columns:
        kind = vectors.table.schema.field(name).type
        if name not in contents.columns:
            raise UserError(f"{location} has no column {name!r}; {hint(name, contents.columns)}")
        if not pa.types.is_null(kind) and _type(name, kind) != contents.columns[name]:
            raise UserError(
                f"The column {name} holds {contents.columns[name]}s in {location} and {_type(name, kind)}s in the "
                "vectors: correct the table, or replace the index."
            )
    _check_rows(vectors)


def schema(contents: Contents) -> pa.Schema:
    """Returns the columns of an index's rows."""
    types = {"text": pa.string(), "number": pa.float64()}
    own = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), contents.dim)),
        pa.field("thumbnail", pa.binary()),
    ]
    return pa.schema(
        own + [pa.field(sql_names(contents)[name], types[kind]) for name, kind in contents.columns.items()]
    )


def sql_names(contents: Contents) -> dict[str, str]:
    """Returns column -> its name in the engine."""
    return {name: f"c{number}" for number, name in enumerate(contents.columns)}


def batches(vectors: Vectors, contents: Contents) -> Iterator[pa.RecordBatch]:
    """Yields the rows in small batches, whose thumbnails are made as they are read.

    Images that cannot be used are named in a warning after the last batch; their products get no thumbnail.
    """
    table = _engine_columns(vectors, contents)
    images = table["image"].to_pylist()
    starts = range(0, len(images), CHUNK)
    made = thumbnails(images[start : start + CHUNK] for start in starts)
    first = next(made, [])  # forks the workers here, before the threads of an engine read

    def read() -> Iterator[pa.RecordBatch]:
        problems: list[str] = []
        for start, chunk in zip(starts, chain([first], made), strict=False):
            problems += [problem for _, problem in chunk if problem]
            yield _with_thumbnails(table.slice(start, CHUNK), [jpeg for jpeg, _ in chunk])
        if problems:
            logging.warning("%d products have no thumbnail: %s.", len(problems), shown(problems))

    return read()


def _with_thumbnails(table: pa.Table, jpegs: list[bytes]) -> pa.RecordBatch:
    place = table.column_names.index("vector") + 1
    [batch] = table.add_column(place, "thumbnail", pa.array(jpegs, pa.binary())).combine_chunks().to_batches()
    return batch


def _engine_columns(vectors: Vectors, contents: Contents) -> pa.Table:
    """Returns the rows without thumbnails."""
    own: dict[str, Any] = {name: vectors.table[name] for name in ("id", "image", "vector")}
    own["image"] = pc.fill_null(own["image"].cast(pa.string()), "")
    for (column, name), field in zip(sql_names(contents).items(), list(schema(contents))[4:], strict=True):
        if column in vectors.columns:
            own[name] = _cleaned(vectors.table[column], field.type)
        else:
            own[name] = pa.nulls(len(vectors.table), field.type)
    return pa.table(own)


def _cleaned(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Returns a column with NaN as a missing number, and without null characters, which PostgreSQL cannot hold."""
    if kind == pa.float64():
        column = column.cast(kind)
        return pc.if_else(pc.is_finite(column), column, None)
    return pc.replace_substring(column.cast(kind), "\0", "")


def _type(name: str, kind: pa.DataType) -> ColumnType:
    """Returns the type of a column; raises UserError if it holds neither texts nor numbers."""
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise UserError(
            f"The column {name} of the vectors is of the type {kind}: make it texts or numbers, or drop it."
        )
    return "number" if pa.types.is_floating(kind) or pa.types.is_integer(kind) else "text"


def _check_rows(vectors: Vectors) -> None:
    """Raises UserError if the ids or vectors cannot be indexed."""
    ids = vectors.table["id"]
    if ids.null_count:
        raise UserError("Some products have no id: give each one.")
    if len(ids.unique()) < len(ids):
        counted = pc.value_counts(ids.combine_chunks())
        twice = [row["values"] for row in counted.to_pylist() if row["counts"] > 1]
        raise UserError(f"Several products have the id {shown(twice)}: give each product its own.")
    long = [name for name in ids.to_pylist() if not 0 < len(name.encode()) <= LONGEST_ID or "\0" in name]
    if long:
        raise UserError(f"The id {shown(long)} is empty, longer than {LONGEST_ID} bytes or no text: use another.")
    lengths = np.linalg.norm(vectors.matrix(), axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < UNIT))  # also NaN
    if len(wrong):
        products = shown(ids.take(wrong).to_pylist())
        raise UserError(f"The vector of {products} is not of length 1: embed the products with `fashionfae embed`.")


def shown(names: list[str]) -> str:
    """Returns the first of many ids for a message."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    cut = (name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}..." for name in names[:SHOWN])
    return ", ".join(cut) + more


def refuse_known(ids: list[str], location: str) -> None:
    """Raises UserError if any of these ids, which are in the index already, were to be added."""
    if ids:
        raise UserError(f"{location} has products with the id {shown(ids)} already: use `update` to replace them.")


def storable(ids: Sequence[str]) -> list[str]:
    """Returns the ids that an index can hold at all; the engines raise errors for the others."""
    return [name for name in ids if can_be_stored(name)]


def facet_names(columns: Sequence[str], contents: Contents) -> dict[str, str]:
    """Returns column -> its name in the engine, for columns whose values are counted.

    Raises:
        UserError: a column is unknown or holds numbers.
    """
    for column in columns:
        if column not in contents.columns:
            raise UserError(f"The index has no column {column!r}; {hint(column, contents.columns)}")
        if contents.columns[column] != "text":
            raise UserError(f"The column {column} holds numbers, whose values are not counted: use a text column.")
    return {column: sql_names(contents)[column] for column in columns}


def by_count(counts: Collection[tuple[str | None, int]]) -> dict[str, int]:
    """Returns value -> count without missing values, the most frequent first, equal counts in the order of values."""
    known = [(value, count) for value, count in counts if value is not None]
    return dict(sorted(known, key=lambda pair: (-pair[1], pair[0])))


def hit(row: Mapping[str, Any], contents: Contents, score: float = 1.0) -> Hit:
    """Returns a row of an engine as a hit.

    Args:
        row: engine's column -> value.
        contents: of the index.
        score: similarity to the query.
    """
    fields = {column: row[name] for column, name in sql_names(contents).items()}
    vector = np.asarray(row["vector"], np.float32)
    return Hit(row["id"], score, fields, bytes(row["thumbnail"] or b""), vector, row["image"] or "")


def ranked(hits: list[Hit], count: int) -> list[Hit]:
    """Returns the best hits, equal scores in the order of their ids."""
    return sorted(hits, key=lambda found: (-found.score, found.id))[:count]


def problems_of(rows: Iterator[Mapping[str, Any]], contents: Contents) -> list[str]:
    """Returns what is wrong with rows that were read from an index, one sentence for each kind."""
    seen: set[str] = set()
    twice, wrong, without = [], [], []
    for row in rows:
        if row["id"] in seen:
            twice.append(row["id"])
        seen.add(row["id"])
        vector = np.asarray(row["vector"], np.float32)
        if vector.shape != (contents.dim,) or not abs(np.linalg.norm(vector) - 1) < UNIT:
            wrong.append(row["id"])
        if row["image"] and not row["thumbnail"]:
            without.append(row["id"])
    found = []
    if twice:
        found.append(f"{len(twice)} products are there twice ({shown(twice)}): replace the index.")
    if wrong:
        found.append(f"{len(wrong)} products have a damaged vector ({shown(wrong)}): embed and update them.")
    if without:
        found.append(
            f"{len(without)} products have no thumbnail ({shown(without)}): mend their images and update them."
        )
    return found
