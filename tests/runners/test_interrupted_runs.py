"""Runs that signals stop, and their resumption to the weights of an uninterrupted run."""

import os
import signal
from pathlib import Path

import pytest
import torch
from programs import run_in_two_processes, run_python, start_two_processes
from runner_toy import SignalledTask, ToyTask, make_runner

from fashionfae_lavis import checkpoints
from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.interruption import Interrupted, interruptible
from fashionfae_lavis.runners.logs import read_metrics

PROGRAM = str(Path(__file__).with_name("runner_toy.py"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    runner = make_runner(tmp_path_factory.mktemp("whole"))
    runner.train()
    return runner


def train_until_signal(folder, task, **settings):
    with pytest.raises(Interrupted) as caught, interruptible():
        make_runner(folder, task, **settings).train()
    return caught.value, read_checkpoint(folder / "job" / "checkpoint_last.pth")


def assert_same_run(resumed, whole):
    for name in ("last", "best"):
        one, two = (read_checkpoint(run.output_dir / f"checkpoint_{name}.pth") for run in (whole, resumed))
        assert all(torch.equal(one["model"][key], two["model"][key]) for key in one["model"])
        assert torch.equal(one["rng"][0]["torch"], two["rng"][0]["torch"])
        assert [one[key] for key in ("iters", "best_iters", "best_metric", "unvalidated")] == [
            two[key] for key in ("iters", "best_iters", "best_metric", "unvalidated")
        ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_in_training_loses_no_update(tmp_path, whole, number):
    before = signal.getsignal(number)
    stop, state = train_until_signal(tmp_path, SignalledTask(number, at=5))
    assert stop.status == 128 + number and state["iters"] == 6 and signal.getsignal(number) == before
    lines = read_metrics(tmp_path / "job" / "metrics.jsonl")
    assert lines[-1]["iteration"] == 6

    resumed = make_runner(tmp_path, resume_ckpt_path="auto")
    resumed.train()
    assert resumed.task.seen == whole.task.seen[6:]
    assert_same_run(resumed, whole)


def test_a_signal_in_validation_repeats_the_validation_alone(tmp_path, whole):
    """The second validation follows update 8. The signal ends it at once."""
    _, state = train_until_signal(tmp_path, SignalledTask(signal.SIGTERM, evaluation=2))
    assert state["iters"] == 8 and state["unvalidated"]
    resumed = make_runner(tmp_path, resume_ckpt_path="auto")
    resumed.train()
    assert resumed.task.seen == whole.task.seen[8:]
    assert_same_run(resumed, whole)
    validated, expected = (
        [line["iteration"] for line in read_metrics(run.output_dir / "metrics.jsonl") if line["phase"] == "validation"]
        for run in (resumed, whole)
    )
    assert validated == expected == [4, 8, 12]


def test_a_signal_in_the_last_validation_or_in_testing(tmp_path, whole):
    for evaluation, name in ((3, "validation"), (4, "testing")):
        _, state = train_until_signal(tmp_path / name, SignalledTask(signal.SIGTERM, evaluation=evaluation))
        assert state["iters"] == 12 and state["unvalidated"] == (name == "validation")
        resumed = make_runner(tmp_path / name, resume_ckpt_path="auto")
        assert resumed.train()["val"]["agg_metrics"] < 0 and resumed.task.seen == []
        assert_same_run(resumed, whole)


def test_a_signal_at_the_end_of_an_inner_epoch(tmp_path, whole):
    _, state = train_until_signal(tmp_path, SignalledTask(signal.SIGTERM, at=7))
    assert state["iters"] == 8 and state["unvalidated"]
    resumed = make_runner(tmp_path, resume_ckpt_path="auto")
    resumed.train()
    assert_same_run(resumed, whole)


def test_checkpoints_by_time(tmp_path):
    """With 0 minutes, every update is followed by a checkpoint; a killed run then loses none."""
    settings = ["die_at=7", "checkpoint_minutes=0", "max_iters=8", "iters_per_inner_epoch=100"]
    assert run_python([PROGRAM, tmp_path, *settings], tmp_path).returncode == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "job" / "checkpoint_last.pth")["iters"] == 7
    assert read_checkpoint(tmp_path / "job" / "checkpoint_previous.pth")["iters"] == 6


def test_a_checkpoint_that_reads_back_damaged_does_not_replace_the_last_one(tmp_path, monkeypatch):
    runner = make_runner(tmp_path, max_iters=4, valid_splits=[])
    runner.train()
    path, previous = (tmp_path / "job" / f"checkpoint_{name}.pth" for name in ("last", "previous"))
    before = path.read_bytes()
    assert not previous.exists()  # this run has written one checkpoint
    save = torch.save

    def save_with_a_flipped_bit(obj, temporary):
        save(obj, temporary)
        content = bytearray(temporary.read_bytes())
        content[content.index(obj["model"]["even.weight"].numpy().tobytes())] ^= 1
        temporary.write_bytes(content)

    monkeypatch.setattr(checkpoints.torch, "save", save_with_a_flipped_bit)
    with pytest.raises(checkpoints.UserError, match="Cannot write .*the disk returned other bytes than were written"):
        runner._save()
    assert path.read_bytes() == before and not previous.exists()
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_update(tmp_path):
    ranks = start_two_processes([PROGRAM, tmp_path / "out", "signal_at=5", "max_iters=8"], tmp_path)
    assert [program.wait() for program in ranks] == [143, 143]
    assert "Traceback" not in ranks[0].stderr + ranks[1].stderr
    assert read_checkpoint(tmp_path / "out" / "job" / "checkpoint_last.pth")["iters"] == 6
    for name in ("out", "whole"):
        run_in_two_processes([PROGRAM, tmp_path / name, "resume_ckpt_path=auto", "max_iters=8"], tmp_path)
    one, two = (read_checkpoint(tmp_path / name / "job" / "checkpoint_last.pth") for name in ("out", "whole"))
    assert one["iters"] == 8 and all(torch.equal(one["model"][key], two["model"][key]) for key in one["model"])


def test_workers_survive_signals_to_the_whole_group(tmp_path, whole):
    """A terminal sends Ctrl-C to the workers of the loaders, too, and a cluster sends SIGTERM to all processes."""

    class GroupTask(ToyTask):
        def train_step(self, model, samples):
            if samples["iters"] == 5:
                for worker in torch.multiprocessing.active_children():
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                        os.kill(worker.pid, number)
                os.kill(os.getpid(), signal.SIGTERM)
            return super().train_step(model, samples)

    stop, state = train_until_signal(tmp_path, GroupTask(), num_workers=1)
    assert state["iters"] == 6
    assert stop.__traceback__ and not torch.multiprocessing.active_children()  # they would keep pytest from exiting
