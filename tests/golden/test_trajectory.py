"""A trajectory of the authors' training, replayed: losses, rates and decay of each parameter, and their changes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fashionfae_lavis.cli import main
from fashionfae_lavis.golden.compare_golden import is_trajectory, read_golden
from fashionfae_lavis.golden.golden_entries import GoldenModels
from fashionfae_lavis.golden.golden_weights import read_manifest
from fashionfae_lavis.golden.trajectory import CHANGE, LOSS, Replay, TrajectoryStep, compare, missing_parameters, replay

DATA = Path(__file__).parents[1] / "data"
TRAJECTORY = read_golden(DATA / "trajectory_seed0.npz")
GOLDEN = read_golden(DATA / "golden_seed0.npz")


@pytest.fixture(scope="module")
def first_four():
    """This package's first four updates, one of each kind, and the sizes of the parameters."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count())
    try:
        step = TrajectoryStep(GOLDEN, GoldenModels(read_manifest(), 0).pretraining, 0)
        return replay({**TRAJECTORY, "kinds": TRAJECTORY["kinds"][:4]}, step)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_losses_rates_and_decay_of_the_first_four_updates(first_four):
    ours, sizes = first_four
    assert list(TRAJECTORY["kinds"][:4]) == ["itc", "itm", "mlm", "mpfc"]
    np.testing.assert_allclose(ours.losses, TRAJECTORY["losses"][:4], atol=5e-6)
    ours_has = ~np.isnan(ours.lr)
    assert ours_has.sum() == 421 and (np.isnan(sizes) == ~ours_has).all()
    np.testing.assert_allclose(ours.lr[ours_has], TRAJECTORY["lr"][ours_has], rtol=1e-12)
    np.testing.assert_allclose(ours.weight_decay[ours_has], TRAJECTORY["weight_decay"][ours_has], rtol=1e-12)
    # Four updates change each parameter by four full steps at most.
    assert (ours.change[ours_has] <= 4.01 * ours.lr[ours_has] * np.sqrt(sizes[ours_has])).all()
    assert {name.split(".")[2] for name in missing_parameters(TRAJECTORY, ours)} == {"pooler"}


def test_a_loss_a_rate_and_a_change_that_differ_fail():
    file = {
        "kinds": np.array(["itc", "itm"]),
        "losses": np.array([1.0, 2.0]),
        "lr": np.array([0.1, 0.1, 0.2]),
        "weight_decay": np.array([0.0, 0.0, 0.0]),
        "change": np.array([1.0, 2.0, 3.0]),
    }
    sizes = np.array([4.0, 4.0, 1.0])

    def verdicts(**changes):
        ours = {key: file[key].copy() for key in ("losses", "lr", "weight_decay", "change")}
        for key, values in changes.items():
            ours[key] = np.array(values)
        return [row.ok for row in compare(file, Replay(**ours), sizes)]

    assert verdicts() == [True, True, True, True]
    assert verdicts(losses=[1.0, 2.0 + 2 * LOSS]) == [True, False, True, True]
    assert verdicts(lr=[0.1, 0.2, 0.2]) == [True, True, False, True]
    assert verdicts(weight_decay=[0.0, 0.0, 0.1]) == [True, True, True, False]
    full_step = 0.1 * 4**0.5
    assert verdicts(change=[1.0, 2.0 + 2 * CHANGE * full_step, 3.0]) == [True, True, False, True]
    assert verdicts(change=[1.0, 2.0 + 0.5 * CHANGE * full_step, 3.0]) == [True, True, True, True]


def test_the_command_takes_the_inputs_from_the_golden_file_of_the_same_seed(tmp_path, capsys):
    assert is_trajectory(TRAJECTORY) and not is_trajectory(GOLDEN)
    np.savez(tmp_path / "trajectory_seed7.npz", **TRAJECTORY)
    with pytest.raises(SystemExit) as end:
        main(["compare-golden", str(tmp_path / "trajectory_seed7.npz")])
    assert end.value.code == 2 and f"{tmp_path}/golden_seed7.npz" in capsys.readouterr().err
