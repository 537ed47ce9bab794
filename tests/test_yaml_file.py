"""Files that are no yaml, or yaml that must not be loaded."""

import os

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.yaml_file import read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"run: [1, 2\nmodel: 3", "line 2, column 6"),
        (b"run:\n\tmax_iters: 3", r"line 2, column 1: found character '\t' that cannot start any token"),
        (b"run: \xff", "byte 5 is not UTF-8"),
        (b"run: \x00", "special characters are not allowed"),
        (b"run: {a: 1}\nrun: {a: 2}", "found duplicate key run"),
        (b"run: !!python/object/apply:os.system ['true']", "could not determine a constructor for the tag"),
        (b"run: !!bool maybe", "is not a yaml configuration"),
        (b"run: !!timestamp soon", "is not a yaml configuration"),
        (b"run: " + b"[" * 5000, "nested more than 20 levels deep"),
        (b"run: " + b"{a: " * 5000, "nested more than 20 levels deep"),
        (b"a: &a [*a]", "is not a yaml configuration"),
        (b"a: *b", "found undefined alias"),
        (BOMB.encode(), "expanded"),
        (b"[1, 2]", "it must hold a mapping"),
        (b"5", "it must hold a mapping"),
        (b"a: ${b", "is not a yaml configuration"),
        (b"a: 1\n---\nb: 2", "but found another document"),
        (b"#" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_a_configuration_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_path_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "none", "There is no plan .*none .working directory"),
        (tmp_path, "is not a regular file"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / ("x" * 5000), "cannot be read: File name too long"),
    ):
        with pytest.raises(UserError, match=message):
            read_yaml(path, "plan")


def test_anchors_and_an_empty_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {x: 1}\nb: {<<: *a, y: 2}")
    assert read_yaml(path) == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}
    path.write_text("")
    assert read_yaml(path) == {}
