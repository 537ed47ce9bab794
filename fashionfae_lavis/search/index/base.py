"""The interface of an index, which is the same for all engines."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.vectors import Vectors
from fashionfae_lavis.search.where import ColumnType, Where

# Up to this many rows, a query is compared with all of them, which is exact. Larger indexes are approximate.
EXACT_ROWS = 100_000


class IndexFailed(UserError):
    """Raised when an index that was there cannot be read or written any more: no mistake of who searches it."""


@dataclass(frozen=True)
class Hit:
    """A product of an index.

    Attributes:
        id: the product's id.
        score: cosine similarity to the query; 1 for products that were fetched without a query.
        fields: column -> text or number; None where it is missing.
        thumbnail: JPEG with at most 224 pixels on the longer side; empty if the image was unusable.
        vector: the product's embedding (dim,).
        image: path of the image at the time of indexing, "" if there was none.
    """

    id: str
    score: float
    fields: dict[str, Any]
    thumbnail: bytes
    vector: NDArray[np.float32] | None
    image: str = ""


@dataclass(frozen=True)
class Contents:
    """The model and the columns of an index. They are stored in the index and change only when it is replaced.

    Attributes:
        model: name of the model of the vectors.
        digest: digest of this model; two models with one digest give the same vectors.
        dim: length of a vector.
        columns: columns of the products with their types.
    """

    model: str
    digest: str
    dim: int
    columns: dict[str, ColumnType]


@dataclass(frozen=True)
class IndexInfo(Contents):
    """Contents of an index, and where it is.

    Attributes:
        location: folder or URL, without a password.
        engine: "LanceDB" or "PostgreSQL".
        rows: number of products at present.
    """

    location: str
    engine: str
    rows: int


class Index(Protocol):
    """Products with their vectors, columns and thumbnails. Each change happens as a whole or not at all."""

    @property
    def info(self) -> IndexInfo:
        """Returns what the index holds at present."""

    def nearest(
        self, vector: NDArray[np.float32], count: int, where: Where | None = None, exclude: Collection[str] = ()
    ) -> list[Hit]:
        """Returns the products most similar to a vector, the best first; equal scores are ordered by id.

        Args:
            vector: query (dim,).
            count: most hits to return.
            where: filter, which applies before ranking.
            exclude: ids to leave out.
        """

    def fetch(self, ids: Sequence[str]) -> list[Hit]:
        """Returns the products with these ids in their order, without those that the index lacks."""

    def browse(self, where: Where | None, offset: int, count: int) -> list[Hit]:
        """Returns a page of the products that a filter keeps, ordered by id."""

    def facets(self, columns: Sequence[str], where: Where | None = None) -> dict[str, dict[str, int]]:
        """Counts the products that a filter keeps by the values of text columns, the most frequent value first."""

    def add(self, vectors: Vectors) -> int:
        """Adds products and returns their number.

        Raises:
            UserError: the vectors are of another model, the columns differ, or an id is in the index already.
        """

    def update(self, vectors: Vectors) -> int:
        """Replaces the products with the same ids, adds the other ones, and returns the number of both together.

        Raises:
            UserError: the vectors are of another model, or the columns differ.
        """

    def delete(self, ids: Sequence[str]) -> int:
        """Deletes products and returns how many of the ids were in the index."""

    def rebuild(self) -> None:
        """Rewrites the index compactly, with a new approximate index if it is large."""

    def check(self) -> list[str]:
        """Reads the whole index and returns what is wrong with it, one sentence for each problem."""
