import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from runner_toy import ToyConfig, make_runner

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.output_folder import (
    find_newest_run,
    make_output_folder,
    own_folder,
    read_run_checkpoint,
)

INTERRUPTED = Path(__file__).with_name("interrupted_run.pth")


def config(output_dir, **run):
    return ToyConfig(output_dir, **run).config


def finished_run(output_dir, age, **run):
    """Leaves a run's folder that has not changed for `age` seconds; returns the folder."""
    with own_folder(config(output_dir, **run)) as folder:
        shutil.copy(INTERRUPTED, folder / "checkpoint_last.pth")
    for path in folder.iterdir():
        os.utime(path, (1e9 - age, 1e9 - age))
    return folder


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


def test_runs_that_start_at_the_same_time_have_folders_of_their_own(tmp_path):
    def claim(seed):
        stack = ExitStack()
        return stack, stack.enter_context(own_folder(config(tmp_path, seed=seed)))

    with ThreadPoolExecutor(10) as pool:
        claims = list(pool.map(claim, range(10)))
    assert len({folder for _, folder in claims}) == 10
    assert sorted(OmegaConf.load(folder / "config.yaml").run.seed for _, folder in claims) == list(range(10))
    for stack, _ in claims:
        stack.close()


def test_auto_continues_the_newest_training_with_the_same_configuration(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    older = finished_run(tmp_path, age=30, init_lr=0.5)
    mine = finished_run(tmp_path, age=20)
    with own_folder(config(tmp_path, resume_ckpt_path="auto")) as folder:
        assert folder == mine
    assert not caplog.messages
    newer = finished_run(tmp_path, age=10, beta2=0.9)
    before = {path: path.read_bytes() for path in newer.iterdir() if path.is_file()}
    with own_folder(config(tmp_path, resume_ckpt_path="auto", num_workers=3)) as folder:
        assert folder == mine
    assert caplog.messages == [
        f"{newer} was made with run.beta2 = 0.9, not 0.999, and stays as it is; this run continues {mine}."
    ]
    with own_folder(config(tmp_path, resume_ckpt_path="auto", init_lr=0.1)) as folder:
        assert folder not in (older, mine, newer)
    assert caplog.messages[1].endswith(f"and stays as it is; this run starts {folder}.")
    assert {path: path.read_bytes() for path in newer.iterdir() if path.is_file()} == before


def test_auto_reads_the_configuration_of_a_checkpoint_if_there_is_no_other(tmp_path):
    folder = finished_run(tmp_path, age=1)
    (folder / "config.yaml").unlink()
    with own_folder(config(tmp_path, resume_ckpt_path="auto")) as found:
        assert found == folder
    for content in ("run: [", "3", ""):
        (folder / "config.yaml").write_text(content)
        with own_folder(config(tmp_path, resume_ckpt_path="auto")) as found:
            assert found == folder


def test_evaluations_are_neither_continued_nor_continue(tmp_path):
    evaluation = finished_run(tmp_path, age=1, evaluate=True)
    training = finished_run(tmp_path, age=2)
    with own_folder(config(tmp_path, resume_ckpt_path="auto", evaluate=True)) as folder:
        assert folder not in (evaluation, training)
    shutil.rmtree(folder)
    with own_folder(config(tmp_path, resume_ckpt_path="auto")) as folder:
        assert folder == training


def test_a_run_that_is_still_going_is_not_joined(tmp_path):
    with own_folder(config(tmp_path)) as live:
        shutil.copy(INTERRUPTED, live / "checkpoint_last.pth")
        message = (
            f"A run is still going in {live} .process {os.getpid()}.: wait for it, stop it, or set run.resume_ckpt"
        )
        for choice in ("auto", str(live / "checkpoint_last.pth")):
            with pytest.raises(UserError, match=message), own_folder(config(tmp_path, resume_ckpt_path=choice)):
                pass
        with own_folder(config(tmp_path, resume_ckpt_path="auto", seed=2)) as folder:
            assert folder != live
    with own_folder(config(tmp_path, resume_ckpt_path="auto")) as folder:
        assert folder == live


def test_temporary_files_of_a_killed_run_are_removed(tmp_path):
    folder = finished_run(tmp_path, age=1)
    (folder / "checkpoint_last.pth.0a1b2c3d.tmp").touch()
    with own_folder(config(tmp_path, resume_ckpt_path="auto")):
        assert not list(folder.glob("*.tmp")) and (folder / "checkpoint_last.pth").exists()


def test_a_damaged_last_checkpoint_names_the_intact_ones(tmp_path):
    runner = make_runner(tmp_path, max_iters=8)
    runner.train()
    last, previous, best = (tmp_path / "job" / f"checkpoint_{name}.pth" for name in ("last", "previous", "best"))
    assert read_run_checkpoint(last)["iters"] == 8
    damage(last)
    with pytest.raises(UserError) as error:
        make_runner(tmp_path, max_iters=8, resume_ckpt_path="auto").train()
    assert str(error.value).startswith(f"{last} is damaged (")
    assert str(error.value).endswith(
        f": continue from an earlier checkpoint with run.resume_ckpt_path={previous} or run.resume_ckpt_path={best}."
    )
    damage(previous)
    with pytest.raises(UserError, match=f"with run.resume_ckpt_path={best}.$"):
        read_run_checkpoint(last)
    damage(best)
    with pytest.raises(UserError, match="copy the file again, or use another one.$"):
        read_run_checkpoint(last)


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 - 64 : len(content) // 2] = bytes(64)
    path.write_bytes(content)


def test_a_last_checkpoint_that_is_a_directory(tmp_path):
    folder = finished_run(tmp_path, age=1)
    (folder / "checkpoint_last.pth").unlink()
    (folder / "checkpoint_last.pth").mkdir()
    with pytest.raises(UserError, match="there is no checkpoint file .*checkpoint_last.pth"):
        make_runner(tmp_path, job_id=folder.name, resume_ckpt_path="auto")


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"Cannot write to {tmp_path}/file/job .*set run.output_dir"):
        make_output_folder(tmp_path / "file" / "job")
    with (
        pytest.raises(UserError, match=f"Cannot write to {tmp_path}/file .*set run.output_dir"),
        own_folder(config(tmp_path / "file")),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_read_only(tmp_path):
    (tmp_path / "job" / "result").mkdir(parents=True)
    (tmp_path / "job").chmod(0o500)
    with pytest.raises(UserError, match="Cannot write to .*set run.output_dir"):
        make_output_folder(tmp_path / "job")
