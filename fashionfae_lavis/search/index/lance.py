"""Indexes in a folder or an object store, by LanceDB.

One table holds vectors, columns and thumbnails. LanceDB never changes a file: each change writes new ones, and becomes
visible when the manifest of its version is put in place. A killed program therefore leaves the version before or after.
"""

import os
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fashionfae_lavis import locks
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import rows
from fashionfae_lavis.search.index.base import EXACT_ROWS, Contents, Hit, IndexFailed, IndexInfo
from fashionfae_lavis.search.vectors import Vectors
from fashionfae_lavis.search.where import Where, quoted

os.environ.setdefault("LANCEDB_LOG", "error")  # LanceDB reads it when it is imported
try:
    import lancedb
    from lancedb.index import BTree, IvfPq
except ImportError as missing:
    raise UserError(f'LanceDB cannot be imported ({missing}): pip install "fashionfae-lavis[search]".') from missing

# The workers that make thumbnails are forked, and do not use LanceDB.
warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)

TABLE = "products"
METADATA = b"fashionfae_index"  # key of the schema's metadata that holds the Contents
CONTENTS = TypeAdapter(Contents)
FAILURES = (RuntimeError, OSError, ValueError)  # what LanceDB raises
RUST_SOURCE = re.compile(r", /\S+\.rs:\d+:\d+")  # in its messages
KEPT = timedelta(minutes=10)  # a query that began before a rebuild may take so long
PARTITION = 4096  # rows of a partition of the approximate index
SUBVECTOR = 4  # dimensions that one byte of the approximate index describes
ITERATIONS = 10  # of k-means; LanceDB's 50 take several times as long
SAMPLE = 64  # rows per centroid that k-means sees
REFINE = 10  # candidates per hit whose exact vectors are compared
PROBES = 20  # partitions that a query visits at least
BATCH = 1000  # rows read at a time


def create(location: str, vectors: Vectors, replace: bool) -> "LanceIndex":
    """Creates an index, see `create_index`."""
    contents = rows.contents_of(vectors)
    with _writing(location), _failures(location):
        database = _connect(location)
        if not replace and _open_table(database) is not None:
            raise UserError(f"{location} holds an index already: replace it with --replace, or use another folder.")
        described = rows.schema(contents).with_metadata({METADATA: CONTENTS.dump_json(contents)})
        database.create_table(TABLE, _reader(described, rows.batches(vectors, contents)), mode="overwrite")
    index = LanceIndex(location)
    with _writing(location), _failures(location):
        index.build_if_large()
    return index


class LanceIndex:
    """Index in a folder or an object store.

    Args:
        location: folder or URL.

    Raises:
        UserError: there is no index.
    """

    def __init__(self, location: str):
        self.location = location
        nothing = f"{location} holds no index: create one with `fashionfae index create {location} VECTORS`."
        if _is_folder(location) and not Path(location, f"{TABLE}.lance").is_dir():
            raise UserError(nothing)
        with _failures(location):
            table = _open_table(_connect(location))
        if table is None:
            raise UserError(nothing)
        self._table = table
        self._described = self._description()
        try:
            self.contents = CONTENTS.validate_json(self._described)
        except ValidationError as error:
            raise UserError(f"{location} was not written by `fashionfae index`: use another folder.") from error
        self._names = rows.sql_names(self.contents)

    @property
    def info(self) -> IndexInfo:
        with self._reading():
            return IndexInfo(
                **vars(self.contents), location=self.location, engine="LanceDB", rows=self._table.count_rows()
            )

    def nearest(
        self, vector: NDArray[np.float32], count: int, where: Where | None = None, exclude: Collection[str] = ()
    ) -> list[Hit]:
        with self._reading():
            query = self._table.search(np.asarray(vector, np.float32), "vector").distance_type("cosine")
            query = query.minimum_nprobes(PROBES).maximum_nprobes(0).refine_factor(REFINE)
            if where is not None:
                query = query.where(where.sql_lance(self._names), prefilter=True)
            found = query.limit(count + len(exclude)).to_arrow().to_pylist()
        hits = [rows.hit(row, self.contents, 1 - row["_distance"]) for row in found]
        return rows.ranked([hit for hit in hits if hit.id not in exclude], count)

    def fetch(self, ids: Sequence[str]) -> list[Hit]:
        with self._reading():
            return self._with_ids(self._table, rows.storable(ids))

    def browse(self, where: Where | None, offset: int, count: int) -> list[Hit]:
        with self._reading():
            version = _open_table(lancedb.connect(self.location))  # changes between the two queries do not matter
            # Only the ids of all products are read and sorted.
            ids = self._select(version, ["id"], where)["id"].combine_chunks()
            page = ids.take(pc.sort_indices(ids)[offset : offset + count])
            return self._with_ids(version, page.to_pylist())

    def facets(self, columns: Sequence[str], where: Where | None = None) -> dict[str, dict[str, int]]:
        names = rows.facet_names(columns, self.contents)
        with self._reading():
            table = self._select(self._table, list(names.values()), where)
        return {column: _counted(table[name]) for column, name in names.items()}

    def add(self, vectors: Vectors) -> int:
        with self._changing():
            rows.check_fits(vectors, self.contents, self.location)
            known = pc.is_in(vectors.table["id"], self._select(self._table, ["id"], None)["id"].combine_chunks())
            rows.refuse_known(vectors.table["id"].filter(known).to_pylist(), self.location)
            self._table.add(_reader(self._table.schema, rows.batches(vectors, self.contents)))
            self.build_if_large()
        return len(vectors.table)

    def update(self, vectors: Vectors) -> int:
        with self._changing():
            rows.check_fits(vectors, self.contents, self.location)
            merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(_reader(self._table.schema, rows.batches(vectors, self.contents)))
            self.build_if_large()
        return len(vectors.table)

    def delete(self, ids: Sequence[str]) -> int:
        with self._changing():
            count = self._table.count_rows()
            if known := rows.storable(ids):
                self._table.delete(_one_of(known))
            return count - self._table.count_rows()

    def rebuild(self) -> None:
        with self._changing():
            self._table.optimize(cleanup_older_than=KEPT)
            if self._table.count_rows() > EXACT_ROWS:
                self._build()

    def check(self) -> list[str]:
        with self._reading():
            found = rows.problems_of(self._rows(["id", "image", "vector", "thumbnail"]), self.contents)
            for index in self._table.list_indices():
                stats = self._table.index_stats(index.name)
                if stats is not None and stats.num_unindexed_rows > EXACT_ROWS:
                    found.append(f"{stats.num_unindexed_rows} rows are not in the approximate index: rebuild it.")
        return found

    def build_if_large(self) -> None:
        """Builds the approximate index if more than EXACT_ROWS rows are outside of it."""
        stats = [self._table.index_stats(index.name) for index in self._table.list_indices()]
        outside = max((stat.num_unindexed_rows for stat in stats if stat), default=self._table.count_rows())
        if outside > EXACT_ROWS:
            self._build()

    def _build(self) -> None:
        count = self._table.count_rows()
        config = IvfPq(
            distance_type="cosine",
            num_partitions=max(1, count // PARTITION),
            num_sub_vectors=max(1, self.contents.dim // SUBVECTOR),
            max_iterations=ITERATIONS,
            sample_rate=SAMPLE,
        )
        self._table.create_index("vector", config=config, replace=True)
        self._table.create_index("id", config=BTree(), replace=True)

    def _rows(self, columns: list[str]) -> Iterator[dict[str, Any]]:
        for batch in self._table.search().select(columns).to_batches(BATCH):
            yield from batch.to_pylist()

    def _with_ids(self, table: Any, ids: Sequence[str]) -> list[Hit]:
        found = table.search().where(_one_of(ids)).limit(len(ids)).to_arrow().to_pylist() if ids else []
        hits = {row["id"]: rows.hit(row, self.contents) for row in found}
        return [hits[name] for name in ids if name in hits]

    def _select(self, table: Any, columns: list[str], where: Where | None) -> pa.Table:
        query = table.search().select(columns)
        if where is not None:
            query = query.where(where.sql_lance(self._names))
        return query.limit(table.count_rows()).to_arrow()

    def _description(self) -> bytes:
        return (self._table.schema.metadata or {}).get(METADATA, b"")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Reports failures as UserErrors, and refuses an index that was replaced since it was opened."""
        with _failures(self.location):
            self._check_not_replaced()
            yield
            self._check_not_replaced()

    def _check_not_replaced(self) -> None:
        if self._description() != self._described:
            raise IndexFailed(f"{self.location} was replaced by an index of other products: open it again.")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with _writing(self.location), self._reading():
            yield


def _connect(location: str) -> Any:
    return lancedb.connect(location, read_consistency_interval=timedelta(0))  # see each change at once


def _open_table(database: Any) -> Any:
    """Returns the table, None if there is none."""
    try:
        return database.open_table(TABLE)
    except ValueError as error:
        if "was not found" in str(error):
            return None
        raise


def _is_folder(location: str) -> bool:
    return "://" not in location


def _writing(location: str) -> AbstractContextManager[None]:
    """Keeps other programs of this computer from changing the index; object stores have no such lock."""
    if not _is_folder(location):
        return nullcontext()
    return locks.hold(Path(location), ".writing.lock", "Another program changes the index", "use another folder")


@contextmanager
def _failures(location: str) -> Iterator[None]:
    """Turns LanceDB's errors into one sentence."""
    try:
        yield
    except FAILURES as error:
        reason = RUST_SOURCE.sub("", " ".join(str(error).split()))[:300]
        raise IndexFailed(
            f"{location} cannot be used ({reason}): check the folder, its rights and its space, or delete it and "
            "create the index again."
        ) from error


def _reader(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in batches))


def _one_of(ids: Sequence[str]) -> str:
    return f"id IN ({', '.join(map(quoted, ids))})"


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    return rows.by_count([(row["values"], row["counts"]) for row in pc.value_counts(column).to_pylist()])
