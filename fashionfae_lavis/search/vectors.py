"""A table of embedded products: ids, photographs, vectors and the products' own columns, as Parquet or npz."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing

OWN = ("id", "image", "vector")  # columns that are not the product's
WRITE_FAILURES = (OSError, pa.ArrowException)


@dataclass(frozen=True, eq=False)
class Vectors:
    """Embedded products.

    Attributes:
        table: columns `id` (string, unique), `image` (string, absolute path), `vector` (fixed_size_list<float32>, of
            unit length) and the product's own: strings, or floats such as `price`, None where missing.
        model: name of the model, which `Encoder.open` opens.
        digest: the model's digest, see `Encoder`.
    """

    table: pa.Table
    model: str
    digest: str

    @classmethod
    def of(
        cls,
        ids: Sequence[str] | pa.StringArray,
        images: Sequence[str],
        rows: NDArray[np.float32],
        columns: Mapping[str, Any],
        model: str,
        digest: str,
    ) -> "Vectors":
        """Makes the table from its columns.

        Args:
            ids: N ids.
            images: N absolute paths.
            rows: unit-length vectors (N, D).
            columns: name -> N values of a column of the products.
            model, digest: of the model.
        """
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1), pa.float32()), rows.shape[1])
        own = {"id": pa.array(ids, pa.string()), "image": pa.array(images, pa.string()), "vector": vectors}
        return cls(pa.table({**own, **columns}), model, digest)

    @property
    def ids(self) -> list[str]:
        """The N ids."""
        return self.table["id"].to_pylist()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.table.schema.field("vector").type.list_size

    @property
    def columns(self) -> list[str]:
        """Names of the products' own columns."""
        return [name for name in self.table.column_names if name not in OWN]

    def matrix(self) -> NDArray[np.float32]:
        """Returns the vectors as an array (N, D)."""
        column = self.table["vector"].combine_chunks()
        return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, self.dim)

    def write(self, path: Path) -> None:
        """Writes the table, atomically: .parquet with all columns, or .npz with ids, images and vectors.

        Raises:
            UserError: the name has another suffix, or the file cannot be written.
        """
        check_target(path)
        with replacing(path, WRITE_FAILURES) as temporary:
            if path.suffix == ".npz":
                self._write_npz(temporary)
            else:
                described = {"model": self.model, "digest": self.digest}
                pq.write_table(self.table.replace_schema_metadata(described), temporary, compression="zstd")

    def _write_npz(self, path: Path) -> None:
        texts = {name: np.array(self.table[name].to_pylist()) for name in ("id", "image")}
        with open(path, "wb") as file:  # np.savez appends .npz to another name
            np.savez(file, **texts, vector=self.matrix(), model=self.model, digest=self.digest)

    @classmethod
    def read(cls, path: Path) -> "Vectors":
        """Reads a Parquet file of `write`.

        Raises:
            UserError: the file is missing, damaged, or not one of `write`.
        """
        mend = "write it with `fashionfae embed`"
        try:
            table = pq.read_table(path, partitioning=None)
        except WRITE_FAILURES as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path} cannot be read as Parquet ({reason}): {mend}.") from error
        written = (table.schema.metadata or {}).items()
        metadata = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in written}
        problem = _problem(table, metadata)
        if problem:
            raise UserError(f"{path} {problem}: {mend}.")
        return cls(table, metadata["model"], metadata["digest"])


def check_target(path: Path) -> None:
    """Raises UserError if vectors cannot be written to a file of this name."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file, such as {path / 'vectors.parquet'}.")
    if path.suffix not in (".parquet", ".npz"):
        raise UserError(f"{path} must be a .parquet or .npz file: give it one of these names.")


def _problem(table: pa.Table, metadata: Mapping[str, str]) -> str | None:
    """Returns what makes a table not one of vectors, as the end of a sentence."""
    missing = [name for name in OWN if name not in table.column_names]
    if missing:
        return f"has no column {missing[0]!r}"
    if not {"model", "digest"} <= metadata.keys():
        return "does not say which model its vectors are of"
    kind = table.schema.field("vector").type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32() or table["vector"].null_count:
        return "has no vectors of float32 in the column 'vector'"
    if table["id"].type != pa.string():
        return f"has ids of the type {table['id'].type} instead of string"
    if table["id"].null_count:
        return "has products without an id"
    if len(table["id"].unique()) < len(table):
        return "repeats ids"
    return None
