from types import SimpleNamespace

import pytest
import torch

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.runners.checkpoint_writer import CheckpointWriter


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("fashionfae_lavis.runners.checkpoint_writer.time", clock)
    return clock


def state(iters):
    return {"model": {"weight": torch.zeros(2)}, "iters": iters}


def test_the_last_the_previous_and_the_best_checkpoint(tmp_path):
    writer = CheckpointWriter(tmp_path, None)
    for iters, best in ((1, False), (2, True), (3, False)):
        writer.write(state(iters), best)
    kept = {path.name: read_checkpoint(path)["iters"] for path in tmp_path.iterdir()}
    assert kept == {"checkpoint_last.pth": 3, "checkpoint_previous.pth": 2, "checkpoint_best.pth": 2}
    assert not writer.is_due()


def test_a_checkpoint_is_due_by_the_time_since_the_last(tmp_path, clock):
    writer = CheckpointWriter(tmp_path, 0.5)
    clock.now += 29
    assert not writer.is_due()
    clock.now += 1
    assert writer.is_due()
    writer.write(state(1))
    assert not writer.is_due()
    clock.now += 30
    assert writer.is_due()


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("fashionfae_lavis.runners.checkpoint_writer.is_main_process", lambda: False)
    writer = CheckpointWriter(tmp_path, 0)
    assert not writer.is_due()
    writer.write(state(1), best=True)
    assert not list(tmp_path.iterdir())
