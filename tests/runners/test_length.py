"""The length of a run in updates, epochs or minutes: as a function, and as the runner follows it on a fake clock."""

import itertools
import logging
import math
import re
from pathlib import Path
from signal import SIGTERM
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from programs import run_python
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
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("fashionfae_lavis.runners.runner.time", clock)
    return clock


def test_updates():
    length = RunLength.of(OmegaConf.create({"max_iters": 10, "max_epoch": 1, "max_minutes": None}), 3)
    assert length == RunLength.of(OmegaConf.create({"max_iters": 10}), 3) == RunLength(10)
    assert RunLength.of(OmegaConf.create({"max_epoch": 4}), 3) == RunLength(12)
    with pytest.raises(UserError, match="length of training is not set: give run.max_epoch, run.max_iters or run.max_"):
        RunLength.of(OmegaConf.create({}), 3)
    assert not length.is_over(9, 1e9) and length.is_over(10, 0)
    assert [length.schedule_step(iters, 1e9) for iters in (0, 3, 9)] == [0, 3, 9]


@pytest.mark.parametrize(("epochs", "updates"), [(0.1, 3), (0.25, 8), (2.5, 75), (1e-6, 1)])
def test_fractions_of_an_epoch(epochs, updates):
    assert RunLength.of(OmegaConf.create({"max_epoch": epochs}), 30) == RunLength(updates)


@pytest.mark.parametrize(("settings", "steps"), [({"max_iters": 10}, 10), ({"max_epoch": 2}, 6), ({}, 30)])
def test_minutes(settings, steps):
    length = RunLength.of(OmegaConf.create({"max_minutes": 0.5, **settings}), 3)
    assert not length.is_over(10**6, 29.9) and length.is_over(1, 30)
    assert length.schedule_length == steps
    assert [length.schedule_step(7, seconds) for seconds in (0, 7.5, 30, 31)] == [0, steps / 4, steps, steps]


def test_what_is_left():
    assert RunLength(10).remaining(4, 99, 2.5) == (6, 15) and RunLength(10).remaining(10, 99, 2.5) == (0, 0)
    assert RunLength(10, 0.5).remaining(4, 20, 4) == RunLength(None, 0.5).remaining(4, 20, 4) == (3, 10)
    assert RunLength(None, 0.5).remaining(4, 31, 4) == (0, 0)


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


def test_minutes_alone_are_enough(tmp_path, clock):
    settings = {"max_iters": None, "max_minutes": 0.25, "warmup_steps": 0, "warmup_share": 0.2, "valid_splits": []}
    whole = make_runner(tmp_path / "whole", log_freq=1, **settings)
    whole.train()
    lines = read_metrics(tmp_path / "whole" / "job" / "metrics.jsonl")
    rates = [line["lr"] for line in lines if line["phase"] == "train"]
    # Ten updates of 1.5 s: two of warm-up from a quarter of the rate, then half a cosine wave.
    wave = [0.5 + math.cos(math.pi * done / 8) / 2 for done in range(8)]
    assert rates == pytest.approx([0.01 * factor for factor in (0.25, 0.625, *wave)], rel=1e-5)

    with pytest.raises(Interrupted), interruptible():
        make_runner(tmp_path, SignalledTask(SIGTERM, at=3), **settings).train()
    make_runner(tmp_path, resume_ckpt_path="auto", **settings).train()
    assert_equal_weights(tmp_path / "whole", tmp_path)


def test_a_length_in_epochs_with_a_share_of_warm_up(tmp_path):
    updates = make_runner(tmp_path / "updates", max_iters=12, warmup_steps=3)
    updates.train()
    epochs = {"max_iters": None, "max_epoch": 2, "warmup_steps": 0, "warmup_share": 0.25}
    with pytest.raises(Interrupted), interruptible():
        make_runner(tmp_path, SignalledTask(SIGTERM, at=1), **epochs).train()  # within the warm-up
    make_runner(tmp_path, resume_ckpt_path="auto", **epochs).train()
    assert_equal_weights(tmp_path / "updates", tmp_path)
    path = str(tmp_path / "job" / "checkpoint_last.pth")
    with pytest.raises(UserError, match="was made with run.warmup_share = 0.25, not 0.5: restore this setting"):
        make_runner(tmp_path, resume_ckpt_path=path, **{**epochs, "warmup_share": 0.5}).train()


def assert_equal_weights(first, second):
    states = [read_checkpoint(folder / "job" / "checkpoint_last.pth") for folder in (first, second)]
    assert states[0]["iters"] == states[1]["iters"]
    assert all(torch.equal(tensor, states[1]["model"][name]) for name, tensor in states[0]["model"].items())


def test_the_log_forecasts_the_length(tmp_path, clock, caplog):
    caplog.set_level(logging.INFO)
    make_runner(tmp_path, max_iters=None, max_epoch=10, warmup_steps=60, valid_splits=[], test_splits=[]).train()
    messages = [(record.levelname, record.message) for record in caplog.records]
    assert messages[0] == ("INFO", "Training: 60 updates, 10.0 epochs of 24 samples.")
    assert messages[1][0] == "WARNING" and "the learning rate never reaches run.init_lr" in messages[1][1]
    time = "about 58 seconds left, until .*\\d\\d:\\d\\d without evaluation."  # 39 more updates of 1.5 s
    assert re.fullmatch(f"Training: 60 updates, 10.0 epochs of 24 samples: {time}", messages[2][1])
    assert len(messages) == 3


# What torchrun does with a script, but its processes are forks, which need not import LAVIS again.
TORCHRUN = """
import runpy, sys
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

def train(*arguments):
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")

group = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": "test", "monitor_interval": 0.1}
config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=2, start_method="fork", max_restarts=0, **group)
elastic_launch(config, train)(*sys.argv[1:])
"""


def test_two_processes_of_torchrun_stop_together(tmp_path):
    (tmp_path / "torchrun.py").write_text(TORCHRUN)
    program = [PROGRAM, tmp_path / "out", f"save_to={tmp_path}/rank", "max_minutes=0.005", "valid_splits=[]"]
    done = run_python(["torchrun.py", *program], tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = [len(torch.load(tmp_path / f"rank{rank}")["seen"]) for rank in range(2)]
    assert seen[0] == seen[1] > 1
