import json
import logging
import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.logs import RunLog, read_metrics


def test_lines_hold_means_and_continue_after_a_broken_one(tmp_path):
    with RunLog(tmp_path, 0, 4) as log:
        log.add_losses({"loss": 1.0, "loss_itc": 1.0})
        log.add_losses({"loss": 3.0, "loss_itm": 3.0})
        log.write_losses(2, 0.1)
        log.write_results("validation", 2, "val", {"agg_metrics": np.float32(0.5), "by": {"skirt": [1, 2]}})
        log.add_losses({"loss": 9.0})
        log.write_losses(3, 0.1)
        log.write_results("test", 2, "val", {"r1": 1})
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"phase": "tra')
    with RunLog(tmp_path, 2, 4) as log:
        log.add_losses({"loss": 5.0})
        log.write_losses(3, 0.01)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["phase"], line["iteration"]) for line in lines] == [
        ("train", 2),
        ("validation", 2),
        ("train", 3),
    ]
    assert (lines[0]["loss"], lines[0]["loss_itc"], lines[0]["loss_itm"]) == (2.0, 1.0, 3.0)
    assert lines[1]["agg_metrics"] == 0.5 and lines[1]["by"] == {"skirt": [1, 2]}
    assert lines[2]["loss"] == 5.0 and lines[2]["lr"] == 0.01
    with RunLog(tmp_path) as log:  # nothing is dropped
        log.write_results("test", 2, "val", {"r1": 1})
    assert len(read_metrics(path)) == 4
    assert read_metrics(tmp_path / "nothing") == []


class Result(Mapping):
    """An evaluation result that is no dict."""

    def __init__(self, **values):
        self.values_ = values

    def __getitem__(self, name):
        return self.values_[name]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


def test_results_may_be_any_mapping_of_numbers_of_any_type(tmp_path):
    nested = Result(r1=np.float64(1 / 3), ranks=np.int64(2), hit=np.bool_(True))
    with RunLog(tmp_path) as log:
        log.write_results(
            "test", 1, "val", Result(agg_metrics=torch.tensor(0.5), sub=nested, lists=None, path=tmp_path)
        )
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    assert line["agg_metrics"] == 0.5 and line["sub"] == {"r1": 0.333333, "ranks": 2, "hit": True}
    assert line["lists"] is None and line["path"] == str(tmp_path)


def test_a_full_disk_is_one_sentence(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(UserError, match="Cannot write .*metrics.jsonl .No space left on device.: free some space"),
        RunLog(tmp_path) as log,
    ):
        log.write_results("test", 1, "val", {"r1": 1})


def test_the_bar_ends_at_the_expected_update_and_lines_are_written_above_it(tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    with RunLog(tmp_path, 0, math.inf) as log:
        log.say("A line.")
        log.expect(8)
        log.add_losses({"loss": 1.0})
    assert caplog.messages == ["A line."] and "1/8" in capsys.readouterr().err
    with RunLog(tmp_path) as log:
        log.expect(8)  # without a bar
    assert "training" not in capsys.readouterr().err


def test_lines_that_make_no_sense_are_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = '{"phase": "train", "iteration": 1}'
    path.write_bytes("\n".join(["[]", "3", "{}", '{"phase": 1, "iteration": "x"}', good]).encode() + b"\n\xff\xfe\n")
    assert read_metrics(path) == [{"phase": "train", "iteration": 1}]


def test_the_validation_that_is_done_again_is_dropped(tmp_path):
    with RunLog(tmp_path, 0, 4) as log:
        for iteration in (2, 4):
            log.write_results("validation", iteration, "val", {"agg_metrics": 0.5})
    with RunLog(tmp_path, 4, 4):
        assert len(read_metrics(tmp_path / "metrics.jsonl")) == 2
    with RunLog(tmp_path, 4, 4, unvalidated=True):
        assert [line["iteration"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [2]
