"""Comparison of a replayed trajectory with the authors'; test_full_size.py replays the first updates."""

from pathlib import Path

import numpy as np
import pytest

from fashionfae_lavis.cli import main
from fashionfae_lavis.golden.compare_golden import is_trajectory, read_golden
from fashionfae_lavis.golden.trajectory import CHANGE, LOSS, Replay, compare

DATA = Path(__file__).parents[1] / "data"
TRAJECTORY = read_golden(DATA / "trajectory_seed0.npz")
GOLDEN = read_golden(DATA / "golden_seed0.npz")


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
