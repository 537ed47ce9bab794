import os

import pytest
from pydantic import TypeAdapter

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, open_regular, read_json, read_json_list, replacing


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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EOF while parsing"),
        (b'{"a": [1, 2', "EOF while parsing a list at line 1 column 11"),
        (b"[" * 100_000, "recursion limit exceeded"),
        (b'{"a": ["\\ud800"]}', "lone leading surrogate|unexpected end of hex escape"),
        (b'{"a": ["\xff"]}', "invalid unicode code point"),
        (b'{"a": [' + b"9" * 5000 + b"]}", "number out of range"),
        (b'{"a": "x"}', "a: Input should be a valid array"),
        (b'{"a": [1, 1.0]}', "a.1: Input should be a valid integer"),
        (b'{"a": [true]}', "a.0: Input should be a valid integer"),
        (b"[]", "Input should be an object"),
    ],
)
def test_json_that_was_edited_by_hand_is_one_sentence(tmp_path, content, reason):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a.json is damaged \(.*({reason}).*\): copy it again\.$") as caught:
        read_json(path, TypeAdapter(dict[str, list[int]]), "copy it again")
    assert "\n" not in str(caught.value)
    path.write_text('{"a": [1, 2]}')
    assert read_json(path, TypeAdapter(dict[str, list[int]]), "copy it again") == {"a": [1, 2]}


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "nothing", "unreadable"])
def test_only_regular_files_are_opened(tmp_path, monkeypatch, kind):
    path = tmp_path / "a.json"
    reason = "Not a regular file"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "unreadable":  # also for root, who may read everything
        path.write_text("[1]")
        reason = "Permission denied"

        def refuse(*args):
            raise PermissionError(13, reason)

        monkeypatch.setattr(os, "open", refuse)
    else:
        reason = "No such file or directory"
    with pytest.raises(UserError, match=rf"a.json cannot be read \({reason}\): copy the file again\.$"):
        read_json_list(path, "numbers")
    with pytest.raises(OSError, match=reason), open_regular(path):
        pass


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
