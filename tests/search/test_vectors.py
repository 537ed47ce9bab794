import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.vectors import Vectors

ROWS = np.eye(4, dtype=np.float32)[:3]


def vectors(**changes):
    parts = {
        "ids": ["a", "b", "c"],
        "images": ["/p/a.jpg", "/p/b.jpg", "/p/ü.jpg"],
        "rows": ROWS,
        "columns": {
            "colour": pa.array(["red", None, "blue"], pa.string()),
            "price": pa.array([1.5, 2, None], pa.float64()),
        },
        "model": "/m/last.pth",
        "digest": "0123456789abcdef",
    }
    return Vectors.of(**{**parts, **changes})


def test_a_file_reads_back_as_it_was_written(tmp_path):
    vectors().write(tmp_path / "v.parquet")
    again = Vectors.read(tmp_path / "v.parquet")
    assert (again.model, again.digest, again.dim) == ("/m/last.pth", "0123456789abcdef", 4)
    assert again.table.equals(vectors().table) and again.ids == ["a", "b", "c"] and again.columns == ["colour", "price"]
    assert again.matrix().dtype == np.float32 and np.array_equal(again.matrix(), ROWS)
    assert again.table.schema.field("vector").type == pa.list_(pa.float32(), 4)


def test_the_matrix_of_some_rows():
    table = pa.concat_tables([vectors().table.slice(1), vectors().table.slice(0, 1)])
    some = Vectors(table, "m", "d")
    assert np.array_equal(some.matrix(), ROWS[[1, 2, 0]])


def test_npz_has_ids_images_vectors_and_the_model(tmp_path):
    vectors().write(tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as found:
        assert found["id"].tolist() == ["a", "b", "c"] and found["image"][2] == "/p/ü.jpg"
        assert np.array_equal(found["vector"], ROWS) and found["digest"] == "0123456789abcdef"


def test_files_that_cannot_be_written_or_read(tmp_path):
    with pytest.raises(UserError, match="v.csv must be a .parquet or .npz file"):
        vectors().write(tmp_path / "v.csv")
    with pytest.raises(UserError, match="Cannot write .*v.parquet"):
        vectors().write(tmp_path / "absent" / "v.parquet")
    with pytest.raises(UserError, match="v.parquet cannot be read as Parquet"):
        Vectors.read(tmp_path / "v.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(UserError, match="text.parquet cannot be read as Parquet"):
        Vectors.read(tmp_path / "text.parquet")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (vectors().table.drop_columns(["vector"]), "has no column 'vector'"),
        (vectors(ids=["a", "b", "a"]).table, "repeats ids"),
        (vectors(ids=["a", "b", None]).table, "has products without an id"),
        (vectors().table.set_column(0, "id", pa.array([1, 2, 3])), "has ids of the type int64 instead of string"),
        (vectors().table.set_column(2, "vector", pa.array([1.0, 2.0, 3.0])), "has no vectors of float32"),
    ],
)
def test_tables_that_are_not_vectors(table, message, tmp_path):
    Vectors(table, "m", "d").write(tmp_path / "v.parquet")
    with pytest.raises(UserError, match=f"v.parquet {message}"):
        Vectors.read(tmp_path / "v.parquet")


def test_a_table_of_another_program(tmp_path):
    pq.write_table(vectors().table, tmp_path / "v.parquet")
    with pytest.raises(UserError, match="does not say which model its vectors are of: write it with"):
        Vectors.read(tmp_path / "v.parquet")


def test_metadata_that_is_no_text(tmp_path):
    described = vectors().table.replace_schema_metadata({b"model": b"m", b"digest": b"\xff", b"\xfe": b"x"})
    pq.write_table(described, tmp_path / "v.parquet")
    assert Vectors.read(tmp_path / "v.parquet").digest == "\ufffd"
