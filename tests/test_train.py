"""The parts of the program; test_whole_programs.py runs it."""

import argparse
import json
import threading
from pathlib import Path

import pytest
from full_disk import full_disk

from fashionfae_lavis import train
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.train import continuing_command, load_config, main, report


def test_the_command_line_takes_its_arguments_or_those_of_the_process(tmp_path, capsys, monkeypatch):
    missing = str(tmp_path / "missing.yaml")
    monkeypatch.setattr("sys.argv", ["train", "--cfg-path", missing])
    for argv in (["--cfg-path", missing], None):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2 and "There is no configuration file" in capsys.readouterr().err


def test_a_thread_that_cannot_write_is_reported_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    with pytest.raises(SystemExit):
        main(["--cfg-path", str(tmp_path / "missing.yaml")])
    for failing, shown in (
        ((tmp_path / "a" / "b").touch, "warning: [Errno 2] "),
        (lambda: 1 / 0, "Traceback"),
    ):
        capsys.readouterr()
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        assert shown in capsys.readouterr().err


def test_the_command_that_continues_a_run(tmp_path):
    arguments = ["--cfg-path", "a b.yaml", "--options", "run.seed=3", "run.resume_ckpt_path=old.pth"]
    fresh = "python -m lavis.train --cfg-path 'a b.yaml' --options run.seed=3"
    assert continuing_command(None, arguments, False) == continuing_command(tmp_path, arguments, False) == fresh
    assert continuing_command(tmp_path, arguments[:2], False) == "python -m lavis.train --cfg-path 'a b.yaml'"
    stage = tmp_path / "image_tokenizer" / "checkpoint_last.pth"
    stage.parent.mkdir()
    stage.touch()
    continued = "python -m lavis.train --cfg-path 'a b.yaml' --options run.resume_ckpt_path="
    assert continuing_command(tmp_path, arguments, False) == f"{continued}auto run.seed=3"
    last = tmp_path / "checkpoint_last.pth"
    last.touch()
    assert continuing_command(tmp_path, arguments, False) == f"{continued}{last} run.seed=3"
    assert continuing_command(tmp_path, arguments[:2], False) == f"{continued}{last}"
    assert continuing_command(tmp_path, arguments, True) == fresh.replace("train", "evaluate")


def test_the_first_stage_trains_a_tokenizer_with_a_decoder(monkeypatch):
    """Also where APIR needs only the codes, as in the recipe at the paper's size."""
    path = Path(__file__).parents[1] / "projects" / "fashionfae" / "fashiongen" / "pretrain.yaml"
    cfg, stages = load_config(argparse.Namespace(cfg_path=path, options=None)), []
    monkeypatch.setattr(train, "run_stage", lambda stage, job_id: stages.append(stage))
    train.train_image_tokenizer(cfg, "job")
    (stage,) = stages
    assert stage.model_cfg.decoder and not cfg.model_cfg.image_tokenizer.decoder
    assert (stage.run_cfg.task, stage.run_cfg.max_iters) == ("fashionfae_image_tokenizer", 40000)
    assert stage.run_cfg.output_dir == "output/fashionfae/fashiongen/job" and "steps" not in stage.run_cfg


class Toy(EvaluationResult):
    def to_json(self):
        return {"agg_metrics": 1.5}

    def table(self):
        return "a table"

    def draw(self, folder):
        (folder / "picture.png").touch()
        return {"picture": str(folder / "picture.png")}


def test_a_report_of_one_split_and_of_two(tmp_path, capsys):
    report({"val": Toy()}, tmp_path)
    picture = tmp_path / "picture.png"
    assert json.loads((tmp_path / "results.json").read_text()) == {"val": {"agg_metrics": 1.5, "picture": str(picture)}}
    shown = capsys.readouterr().out
    assert "val\na table" in shown and str(picture) in shown and str(tmp_path / "results.json") in shown
    picture.unlink()
    (tmp_path / "checkpoint_last.pth").touch()
    report({"val": Toy(), "test": Toy()}, tmp_path)
    listed = capsys.readouterr().out.splitlines()
    assert f"picture:         {tmp_path / 'test' / 'picture.png'}" in listed
    assert f"checkpoint_last: {tmp_path / 'checkpoint_last.pth'}" in listed
    results = json.loads((tmp_path / "results.json").read_text())
    assert {split: Path(result["picture"]).parent.name for split, result in results.items()} == {
        "val": "val",
        "test": "test",
    }


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by\nzero"), OSError(28, "No space left"), UserError("gone"), ImportError()]
)
def test_a_picture_that_fails_costs_no_figures(tmp_path, monkeypatch, caplog, capsys, error):
    def fail(self, folder):
        assert (tmp_path / "results.json").exists()  # which was written first
        raise error

    monkeypatch.setattr(Toy, "draw", fail)
    report({"val": Toy(), "test": Toy()}, tmp_path)
    figures = {"agg_metrics": 1.5}
    assert json.loads((tmp_path / "results.json").read_text()) == {"val": figures, "test": figures}
    assert "val\na table" in capsys.readouterr().out
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 2 and all("\n" not in line for line in warned)
    assert warned[0].startswith("The picture of val could not be drawn, which changes no result: ")


def test_a_full_disk_still_shows_the_figures(tmp_path, capsys):
    full = pytest.raises(UserError, match=r"Cannot write .*results.json \(No space left on device\)")
    with full_disk("results.json"), full:
        report({"val": Toy()}, tmp_path)
    assert "val\na table" in capsys.readouterr().out
