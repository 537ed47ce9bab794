import os

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.output_folder import find_newest_run, make_output_folder


def test_newest_run_is_the_one_with_the_newest_last_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_newest_run("out") is None
    for age, path in enumerate(["c/checkpoint_last.pth", "a/stage/checkpoint_last.pth", "b/checkpoint_last.pth"]):
        file = tmp_path / "out" / path
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1000 - age, 1000 - age))
    (tmp_path / "out/d").mkdir()
    assert find_newest_run("out") == tmp_path / "out/c"
    os.utime(tmp_path / "out/a/stage/checkpoint_last.pth", (2000, 2000))
    assert find_newest_run(tmp_path / "out") == tmp_path / "out/a"


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"Cannot write to {tmp_path}/file/job .*set run.output_dir"):
        make_output_folder(tmp_path / "file" / "job")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_read_only(tmp_path):
    (tmp_path / "job" / "result").mkdir(parents=True)
    (tmp_path / "job").chmod(0o500)
    with pytest.raises(UserError, match="Cannot write to .*set run.output_dir"):
        make_output_folder(tmp_path / "job")
