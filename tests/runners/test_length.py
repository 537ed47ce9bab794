"""The length of a run in updates or minutes: as a function, and as the runner follows it on a fake clock."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGTERM
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from runner_toy import SignalledTask, make_runner

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.interruption import Interrupted, interruptible
from fashionfae_lavis.runners.length import RunLength
from fashionfae_lavis.runners.logs import read_metrics

PROGRAM = str(Path(__file__).with_name("runner_toy.py"))


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances by 1.5 seconds whenever the runner reads it, so an update takes 1.5 seconds."""
    ticks = itertools.count(0, 1.5)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), monotonic=time.monotonic)
    monkeypatch.setattr("fashionfae_lavis.runners.runner.time", clock)
    return clock


def test_updates():
    length = RunLength.of(OmegaConf.create({"max_iters": 10, "max_epoch": 1, "max_minutes": None}), 3)
    assert length == RunLength.of(OmegaConf.create({"max_iters": 10}), 3) == RunLength(10)
    assert RunLength.of(OmegaConf.create({"max_epoch": 4}), 3) == RunLength(12)
    with pytest.raises(UserError, match="length of training is not set: give run.max_iters or run.max_epoch"):
        RunLength.of(OmegaConf.create({}), 3)
    assert not length.is_over(9, 1e9) and length.is_over(10, 0)
    assert [length.schedule_step(iters, 1e9) for iters in (0, 3, 9)] == [0, 3, 9]


def test_minutes():
    length = RunLength.of(OmegaConf.create({"max_iters": 10, "max_minutes": 0.5}), 3)
    assert not length.is_over(10**6, 29.9) and length.is_over(1, 30)
    assert [length.schedule_step(7, seconds) for seconds in (0, 7.5, 30, 31)] == [0, 2.5, 10, 10]


@pytest.mark.parametrize("minutes", [0, -1, "5", True])
def test_invalid_minutes(minutes):
    with pytest.raises(UserError, match="run.max_minutes is .*, but must be a number above 0, or null for no limit"):
        RunLength.of(OmegaConf.create({"max_iters": 10, "max_minutes": minutes}), 3)


def test_a_run_of_fixed_minutes_follows_its_whole_schedule(tmp_path, clock):
    runner = make_runner(tmp_path, max_minutes=0.25, warmup_steps=0, log_freq=1, valid_splits=[])
    runner.train()
    state = read_checkpoint(tmp_path / "job" / "checkpoint_last.pth")
    assert (state["iters"], state["seconds"]) == (10, 15.0)  # the 12 updates of max_iters do not fit
    rates = [line["lr"] for line in read_metrics(tmp_path / "job" / "metrics.jsonl") if line["phase"] == "train"]
    expected = [runner.lr_scheduler.step(12 * done / 10) for done in range(10)]
    assert rates == pytest.approx(expected, rel=1e-5) and rates[0] == 0.01 and rates[-1] < 0.01 / 30


def test_the_minutes_before_resuming_count(tmp_path, clock):
    with pytest.raises(Interrupted), interruptible():
        make_runner(tmp_path, SignalledTask(SIGTERM, at=3), max_minutes=0.25, valid_splits=[]).train()
    runner = make_runner(tmp_path, max_minutes=0.25, valid_splits=[], resume_ckpt_path="auto")
    runner.train()
    assert (runner.progress.iters, runner.progress.seconds) == (10, 15.0)
    finished = make_runner(tmp_path, max_minutes=0.25, valid_splits=[], resume_ckpt_path="auto")
    finished.train()
    assert (finished.progress.iters, finished.task.seen) == (10, [])


def test_two_processes_stop_together(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    program = [PROGRAM, str(tmp_path / "out"), f"save_to={tmp_path}/rank", "max_minutes=0.005", "valid_splits=[]"]
    subprocess.run([*launcher, *program], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120)
    seen = [len(torch.load(tmp_path / f"rank{rank}")["seen"]) for rank in range(2)]
    assert seen[0] == seen[1] > 1
