import os

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, read_json_list, replacing


def test_a_file_is_replaced_only_if_the_block_succeeds(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    full_disk = f"Cannot write {path} .No space left on device.: free some space"
    with pytest.raises(UserError, match=full_disk), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot create the folder .*file/a"):
        make_folder(tmp_path / "file" / "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds an empty list instead of names"),
        ('{"a": 1}', "holds a dict instead of names"),
        ("[1,", "is damaged"),
    ],
)
def test_json_without_a_list_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_json_list(path, "names")
    path.write_text('["x"]')
    assert read_json_list(path, "names") == ["x"]


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second and first.parent == second.parent == tmp_path
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]  # the last to end


def test_temporary_files_of_killed_writers_are_removed_after_a_day(tmp_path):
    path = tmp_path / "a[1].txt"
    old, new, other = (tmp_path / name for name in ("a[1].txt.00.tmp", "a[1].txt.11.tmp", "b.txt.00.tmp"))
    for temporary in (old, new, other):
        temporary.touch()
    for temporary in (old, other):
        os.utime(temporary, (0, 0))
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert set(tmp_path.iterdir()) == {path, new, other}
