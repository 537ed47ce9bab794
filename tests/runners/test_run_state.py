"""Checkpoints whose training state was edited: one sentence, and nothing saved changes."""

import copy

import pytest
import torch
from runner_toy import make_runner

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    runner = make_runner(tmp_path_factory.mktemp("run"), max_iters=4)
    runner.train()
    return runner.output_dir / "checkpoint_last.pth"


MISSING = object()
CRAFTED = [
    *((key, MISSING) for key in ("optimizer", "scaler", "rng", "config", "iters", "best_metric", "best_iters")),
    *((key, value) for key in ("optimizer", "scaler", "data_order", "config") for value in (None, 3, [1], "x")),
    *(("iters", value) for value in (-1, 2.5, True, "4", None, 10**30, 5)),
    *(("seconds", value) for value in (-1.0, float("nan"), float("inf"), "1", None)),
    *(("best_metric", value) for value in (float("nan"), "high", None)),
    *(("best_iters", value) for value in (-1, 5, "4", 1.5)),
    *(("rng", value) for value in (None, [], {}, [None], [{}], [{"python": 1}], [1, 2])),
    ("rng.0.torch", torch.zeros(3)),
    ("rng.0.torch", None),
    ("rng.0.numpy", [[1], 2, 3, 4]),
    ("rng.0.python", (3, (1, 2), None)),
    ("scaler", {"scale": float("nan")}),
    ("scaler", {"scale": "x"}),
    ("optimizer.param_groups", MISSING),
    ("optimizer.param_groups", [{}]),
    ("optimizer.param_groups", 3),
    ("optimizer.state", MISSING),
    ("optimizer.state", {99: {}}),
    ("optimizer.state.0", None),
    ("optimizer.state.0.exp_avg", MISSING),
    ("optimizer.state.0.exp_avg", "x"),
    ("optimizer.state.0.exp_avg", torch.zeros(7)),
    ("optimizer.state.0.exp_avg", torch.full((1, 3), float("nan"))),
    ("optimizer.state.0.step", torch.zeros(2)),
    ("model.even.weight", None),
    ("model.even.weight", [1.0]),
    ("data_order.run.seed", "x"),
]


def edit(state, dotted, value):
    """Changes one entry; the names of weights and of the data order contain dots."""
    first, _, rest = dotted.partition(".")
    if not rest or first in ("model", "data_order"):
        owner, key = (state, first) if not rest else (state[first], rest)
    else:
        owner, (*path, key) = state[first], [int(part) if part.isdigit() else part for part in rest.split(".")]
        for part in path:
            owner = owner[part]
    if value is MISSING:
        del owner[key]
    else:
        owner[key] = value


@pytest.mark.parametrize(("entry", "value"), CRAFTED)
def test_a_crafted_state_is_one_sentence(tmp_path, checkpoint, entry, value):
    state = copy.deepcopy(read_checkpoint(checkpoint))
    edit(state, entry, value)
    path = tmp_path / "job" / "checkpoint_last.pth"
    path.parent.mkdir()
    torch.save(state, path)
    before = path.read_bytes()
    with pytest.raises(UserError) as error:
        make_runner(tmp_path, max_iters=4, resume_ckpt_path="auto").train()
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {"checkpoint_last.pth", "result"}
