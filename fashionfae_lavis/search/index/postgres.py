"""Indexes in a PostgreSQL database with the extension pgvector.

An index is two tables of the first schema of the connection's search path, `fashionfae_products` and, with one row,
`fashionfae_index`. Another schema holds another index: `postgresql://HOST/DB?options=-csearch_path%3Dshop`.
Each change is one transaction.
"""

import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import rows
from fashionfae_lavis.search.index.base import EXACT_ROWS, Contents, Hit, IndexFailed, IndexInfo
from fashionfae_lavis.search.vectors import Vectors
from fashionfae_lavis.search.where import Where

try:
    import psycopg
    from pgvector.psycopg import register_vector
    from psycopg.rows import dict_row
except ImportError as missing:
    raise UserError(
        f'pgvector or psycopg cannot be imported ({missing}): pip install "fashionfae-lavis[search]".'
    ) from missing

PRODUCTS = "fashionfae_products"
LOADED = "fashionfae_products_loaded"  # becomes PRODUCTS
HEAD = "fashionfae_index"  # holds the Contents
APPROXIMATE = "fashionfae_products_hnsw"  # index of the column vector
WIDEST = 2000  # dimensions that pgvector indexes
CONTENTS = TypeAdapter(Contents)
TYPES = {"text": 'text COLLATE "C"', "number": "double precision"}
CANDIDATES = 100  # of the approximate index, at least
MOST_CANDIDATES = 1000  # pgvector's limit
BATCH = 1000  # rows read at a time

Connection = psycopg.Connection[dict[str, Any]]


def create(location: str, vectors: Vectors, replace: bool) -> "PostgresIndex":
    """Creates an index, see `create_index`. Readers of an older one see it until the new one is complete."""
    contents = rows.contents_of(vectors)
    with _failures(location), _connect(location) as connection:
        if not _register_vector(connection):
            _create_extension(connection, location)
            _register_vector(connection)
        with connection.transaction():
            _lock(connection)
            there = _exists(connection, HEAD)
            if there and not replace:
                raise UserError(
                    f"{without_password(location)} holds an index already: replace it with --replace, or use another "
                    "schema."
                )
            _execute(connection, _table(LOADED, contents))
            _copy(connection, LOADED, vectors, contents)
            if there:
                # Tables are locked in this order, which is also the readers': another one could end in a deadlock.
                _execute(connection, f"DROP TABLE {HEAD}, {PRODUCTS}")
            _execute(connection, f"ALTER TABLE {LOADED} RENAME TO {PRODUCTS}")
            _execute(connection, f"ALTER INDEX {LOADED}_pkey RENAME TO {PRODUCTS}_pkey")
            _execute(connection, f"CREATE TABLE {HEAD} (contents text NOT NULL)")
            _execute(connection, f"INSERT INTO {HEAD} VALUES (%s)", [CONTENTS.dump_json(contents).decode()])
            _build_if_large(connection, contents)
    return PostgresIndex(location)


class PostgresIndex:
    """Index in a database. It may be shared by threads, which take turns.

    Args:
        location: URL of the database.

    Raises:
        UserError: the database cannot be reached, or holds no index.
    """

    def __init__(self, location: str):
        self.location = without_password(location)
        self._url = location
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        self._described = ""
        with self._transaction() as connection:
            if not _exists(connection, HEAD):
                mend = f"create one with `fashionfae index create {self.location} VECTORS`"
                raise UserError(f"{self.location} holds no index: {mend}.")
            self._described = _description(connection)
        try:
            self.contents = CONTENTS.validate_json(self._described)
        except ValidationError as error:
            raise UserError(
                f"{self.location} was not written by `fashionfae index`: use another schema or database."
            ) from error
        self._names = rows.sql_names(self.contents)

    @property
    def info(self) -> IndexInfo:
        with self._reading() as connection:
            count = _fetch_one(connection, f"SELECT count(*) FROM {PRODUCTS}")["count"]
        return IndexInfo(**vars(self.contents), location=self.location, engine="PostgreSQL", rows=count)

    def nearest(
        self, vector: NDArray[np.float32], count: int, where: Where | None = None, exclude: Collection[str] = ()
    ) -> list[Hit]:
        wanted = count + len(exclude)
        # The approximate index gives the best candidates of all products, and the filter removes some of these.
        candidates = max(CANDIDATES, 2 * wanted) if where is None else MOST_CANDIDATES
        found: list[dict[str, Any]] = []
        with self._reading() as connection:
            if candidates <= MOST_CANDIDATES and _exists(connection, APPROXIMATE):
                _execute(connection, f"SET LOCAL hnsw.ef_search = {candidates}")
                found = self._ordered(connection, vector, wanted, where)
            if len(found) < wanted:
                _execute(connection, "SET LOCAL enable_indexscan = off")  # compare with every product
                found = self._ordered(connection, vector, wanted, where)
        hits = [rows.hit(row, self.contents, 1 - row["distance"]) for row in found]
        return rows.ranked([hit for hit in hits if hit.id not in exclude], count)

    def fetch(self, ids: Sequence[str]) -> list[Hit]:
        with self._reading() as connection:
            found = _fetch(connection, f"SELECT * FROM {PRODUCTS} WHERE id = ANY(%s)", [rows.storable(ids)])
        hits = {row["id"]: rows.hit(row, self.contents) for row in found}
        return [hits[name] for name in ids if name in hits]

    def browse(self, where: Where | None, offset: int, count: int) -> list[Hit]:
        condition, values = self._condition(where)
        query = f"SELECT * FROM {PRODUCTS} WHERE {condition} ORDER BY id OFFSET %s LIMIT %s"
        with self._reading() as connection:
            return [rows.hit(row, self.contents) for row in _fetch(connection, query, [*values, offset, count])]

    def facets(self, columns: Sequence[str], where: Where | None = None) -> dict[str, dict[str, int]]:
        names = rows.facet_names(columns, self.contents)
        condition, values = self._condition(where)
        counts = {}
        with self._reading() as connection:
            for column, name in names.items():
                query = f"SELECT {name} AS value, count(*) FROM {PRODUCTS} WHERE {condition} GROUP BY {name}"
                found = _fetch(connection, query, values)
                counts[column] = rows.by_count([(row["value"], row["count"]) for row in found])
        return counts

    def add(self, vectors: Vectors) -> int:
        rows.check_fits(vectors, self.contents, self.location)
        with self._changing() as connection:
            known = _fetch(connection, f"SELECT id FROM {PRODUCTS} WHERE id = ANY(%s) ORDER BY id", [vectors.ids])
            rows.refuse_known([row["id"] for row in known], self.location)
            _copy(connection, PRODUCTS, vectors, self.contents)
            _build_if_large(connection, self.contents)
        return len(vectors.table)

    def update(self, vectors: Vectors) -> int:
        rows.check_fits(vectors, self.contents, self.location)
        names = [name for name in rows.schema(self.contents).names if name != "id"]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names)
        with self._changing() as connection:
            _execute(connection, f"CREATE TEMPORARY TABLE changed (LIKE {PRODUCTS}) ON COMMIT DROP")
            _copy(connection, "changed", vectors, self.contents)
            _execute(
                connection, f"INSERT INTO {PRODUCTS} SELECT * FROM changed ON CONFLICT (id) DO UPDATE SET {changes}"
            )
            _build_if_large(connection, self.contents)
        return len(vectors.table)

    def delete(self, ids: Sequence[str]) -> int:
        with self._changing() as connection:
            return _execute(connection, f"DELETE FROM {PRODUCTS} WHERE id = ANY(%s)", [rows.storable(ids)])

    def rebuild(self) -> None:
        with self._changing() as connection:
            for row in _fetch(connection, INVALID_INDEXES):
                _execute(connection, f"DROP INDEX {row['name']}")
            _build_if_large(connection, self.contents)
            approximate = _exists(connection, APPROXIMATE)
        with _failures(self.location), _connect(self._url) as connection:  # neither runs inside a transaction
            _execute(connection, f"VACUUM ANALYZE {PRODUCTS}")
            if approximate:
                _execute(connection, f"REINDEX INDEX CONCURRENTLY {APPROXIMATE}")

    def check(self) -> list[str]:
        with self._reading() as connection:
            with connection.cursor("every_product", row_factory=dict_row) as cursor:
                cursor.itersize = BATCH
                cursor.execute(f"SELECT id, image, vector, thumbnail FROM {PRODUCTS}".encode(), binary=True)
                found = rows.problems_of(map(_with_array, cursor), self.contents)
            names = [row["name"] for row in _fetch(connection, INVALID_INDEXES)]
        return found + [f"The database index {name} is not complete: rebuild." for name in names]

    def _ordered(
        self, connection: Connection, vector: NDArray[np.float32], count: int, where: Where | None
    ) -> list[dict[str, Any]]:
        """Returns the rows nearest to a vector, with their cosine distance."""
        condition, values = self._condition(where)
        query = f"SELECT *, vector <=> %s AS distance FROM {PRODUCTS} WHERE {condition} ORDER BY vector <=> %s LIMIT %s"
        point = np.asarray(vector, np.float32)
        return _fetch(connection, query, [point, *values, point, count])

    def _condition(self, where: Where | None) -> tuple[str, list[Any]]:
        return ("true", []) if where is None else where.sql_postgres(self._names)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Yields the connection in a transaction, connecting again after a failure."""
        with self._turn, _failures(self.location):
            if self._connection is None or self._connection.closed:
                self._connection = _connect(self._url)
                _register_vector(self._connection)
            with self._connection.transaction():
                yield self._connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Yields the connection in a transaction, and refuses an index that was replaced since it was opened."""
        with self._transaction() as connection:
            if _description(connection) != self._described:
                raise IndexFailed(f"{self.location} was replaced by an index of other products: open it again.")
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """Yields the connection in a transaction that waits for other programs' changes."""
        with self._transaction() as connection:
            _lock(connection)
            if _description(connection) != self._described:
                raise IndexFailed(f"{self.location} was replaced by an index of other products: open it again.")
            yield connection


# What a killed or cancelled REINDEX CONCURRENTLY leaves behind.
INVALID_INDEXES = f"""SELECT indexrelid::regclass::text AS name FROM pg_index
    WHERE indrelid = '{PRODUCTS}'::regclass AND NOT indisvalid"""


def without_password(url: str) -> str:
    """Returns a database's URL for messages.

    >>> without_password("postgresql://shop:secret@db.example/fashion?password=secret&sslmode=require")
    'postgresql://shop@db.example/fashion?sslmode=require'
    """
    url = re.sub(r"^(\w+://[^:@/]*):[^/]*@", r"\1@", url)
    head, mark, options = url.partition("?")
    kept = [option for option in options.split("&") if not option.startswith("password=")]
    return head + mark + "&".join(kept)


def _connect(url: str) -> Connection:
    where = without_password(url)
    try:
        # A statement prepared for the table before a replacement would fail after it.
        connection = psycopg.connect(
            url, autocommit=True, row_factory=dict_row, prepare_threshold=None, connect_timeout=10
        )
    except psycopg.Error as error:
        raise IndexFailed(
            f"{where} cannot be reached ({_reason(error)}): check the URL, and that the server runs."
        ) from error
    if _fetch_one(connection, "SELECT current_schema() AS schema")["schema"] is None:
        connection.close()
        raise UserError(f"The search path of {where} has no schema that exists: create it, or correct the URL.")
    return connection


@contextmanager
def _failures(location: str) -> Iterator[None]:
    """Turns PostgreSQL's errors into one sentence."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise IndexFailed(
            f"{without_password(location)} refuses it ({_reason(error)}): grant the role this right, or use another."
        ) from error
    except psycopg.OperationalError as error:
        raise IndexFailed(
            f"The connection to {without_password(location)} failed ({_reason(error)}): run the command again."
        ) from error
    except psycopg.Error as error:
        raise IndexFailed(f"{without_password(location)} cannot be used ({_reason(error)}).") from error


def _reason(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300]


def _register_vector(connection: Connection) -> bool:
    """Makes the type of pgvector known to the connection, whatever its schema; returns False if there is none."""
    query = "SELECT quote_ident(nspname) AS schema FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace"
    found = _fetch(connection, f"{query} WHERE extname = 'vector'")
    if not found:
        return False
    extended = "SELECT set_config('search_path', current_setting('search_path') || ', ' || %s, false)"
    _execute(connection, extended, [found[0]["schema"]])
    register_vector(connection)
    return True


def _create_extension(connection: Connection, location: str) -> None:
    where = without_password(location)
    try:
        _execute(connection, "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"The role may not add pgvector to {where}: let an administrator run `CREATE EXTENSION vector` in it."
        ) from error
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        raise UserError(f"The server of {where} lacks pgvector: install it (https://github.com/pgvector).") from error


def _lock(connection: Connection) -> None:
    """Makes other programs that change this index wait until the transaction ends."""
    _execute(connection, f"SELECT pg_advisory_xact_lock(hashtext('{HEAD}'), hashtext(current_schema()))")


def _description(connection: Connection) -> str:
    return _fetch_one(connection, f"SELECT contents FROM {HEAD}")["contents"]


def _table(name: str, contents: Contents) -> str:
    """Returns the SQL that creates a table of products."""
    own = f"""id text COLLATE "C" PRIMARY KEY, image text NOT NULL, vector vector({contents.dim}) NOT NULL,
        thumbnail bytea STORAGE EXTERNAL NOT NULL"""
    columns = [f"{sql} {TYPES[contents.columns[column]]}" for column, sql in rows.sql_names(contents).items()]
    return f"CREATE TABLE {name} ({', '.join([own, *columns])})"


def _copy(connection: Connection, table: str, vectors: Vectors, contents: Contents) -> None:
    names = rows.schema(contents).names
    kinds = ["text", "text", "vector", "bytea"]
    kinds += ["text" if kind == "text" else "float8" for kind in contents.columns.values()]
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(kinds)
        for batch in rows.batches(vectors, contents):
            matrix = batch["vector"].flatten().to_numpy().reshape(-1, contents.dim)
            others = [batch[name].to_pylist() for name in names if name != "vector"]
            for vector, (name, image, *rest) in zip(matrix, zip(*others, strict=True), strict=True):
                copy.write_row((name, image, vector, *rest))


def _exists(connection: Connection, name: str) -> bool:
    """Returns whether the index's own schema, not a later one of the search path, has a table or index."""
    qualified = f"quote_ident(current_schema()) || '.{name}'"
    return bool(_fetch_one(connection, f"SELECT to_regclass({qualified}) IS NOT NULL AS there")["there"])


def _build_if_large(connection: Connection, contents: Contents) -> None:
    """Builds the approximate index if there are more than EXACT_ROWS rows; PostgreSQL keeps it up to date."""
    if contents.dim > WIDEST or _exists(connection, APPROXIMATE):
        return
    if _fetch_one(connection, f"SELECT count(*) FROM {PRODUCTS}")["count"] > EXACT_ROWS:
        _execute(connection, f"CREATE INDEX {APPROXIMATE} ON {PRODUCTS} USING hnsw (vector vector_cosine_ops)")


def _execute(connection: Connection, query: str, values: Sequence[Any] = ()) -> int:
    """Runs a statement and returns the number of rows that it changed."""
    return connection.execute(query.encode(), values or None).rowcount


def _fetch(connection: Connection, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    return [_with_array(row) for row in connection.execute(query.encode(), values or None, binary=True)]


def _with_array(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with its vector as an array, which pgvector gave before version 0.5."""
    if "vector" in row and not isinstance(row["vector"], np.ndarray):
        row["vector"] = row["vector"].to_numpy()
    return row


def _fetch_one(connection: Connection, query: str) -> dict[str, Any]:
    [row] = _fetch(connection, query)
    return row
