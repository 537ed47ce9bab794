import os

import numpy as np
import pytest
from drawn_photographs import save_photographs

from fashionfae_lavis.search.parts import Part, Parts


def part(count: int = 2) -> Part:
    rows = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    return Part(rows, np.array([f"{i}.png" for i in range(count)]), np.array([""] * count))


def test_parts_are_joined_in_order():
    joined = Part.joined([part(2), part(1)])
    assert joined.rows.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 2]]
    assert joined.names.tolist() == ["0.png", "1.png", "0.png"] and joined.problems.tolist() == [""] * 3


def test_a_part_reads_back_and_a_damaged_one_does_not_count(tmp_path):
    parts = Parts(tmp_path, "d", 3)
    file = parts.file(["a.png"], tmp_path)
    assert parts.read(file) is None
    parts.write(file, part())
    assert np.array_equal(parts.read(file).rows, part().rows)
    assert Parts(tmp_path, "d", 4).read(file) is None  # of another length
    file.write_bytes(file.read_bytes()[:-30])
    assert parts.read(file) is None
    file.write_bytes(b"")
    assert parts.read(file) is None


@pytest.mark.parametrize("change", ["model", "order", "content", "time", "folder"])
def test_a_part_is_only_found_for_the_same_model_and_photographs(change, tmp_path):
    names = save_photographs(tmp_path / "photos", 2)
    parts, folder = Parts(tmp_path, "d", 3), tmp_path / "photos"
    before = parts.file(names, folder)
    assert parts.file(list(names), folder) == before
    if change == "model":
        parts = Parts(tmp_path, "e", 3)
    elif change == "order":
        names = names[::-1]
    elif change == "content":
        (folder / names[0]).write_bytes(b"x")
    elif change == "time":
        os.utime(folder / names[0], ns=(0, 1))
    else:
        folder = folder.rename(tmp_path / "moved")
    assert parts.file(names, folder) != before


def test_missing_photographs_have_a_part_too(tmp_path):
    assert Parts(tmp_path, "d", 3).file(["absent.png", "a\0b"], tmp_path).suffix == ".npz"
