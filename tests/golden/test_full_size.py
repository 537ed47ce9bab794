"""The models at full size agree with numbers of the authors' implementation (differences: docs/fidelity.md).

First every entry of a golden file, then the first updates of a trajectory, which train the same models.
"""

from pathlib import Path

import numpy as np
import pytest

from fashionfae_lavis.golden import golden_entries
from fashionfae_lavis.golden.compare_golden import compute, read_golden, seed_of
from fashionfae_lavis.golden.golden_comparison import INPUTS, compare
from fashionfae_lavis.golden.golden_weights import read_manifest
from fashionfae_lavis.golden.trajectory import TrajectoryStep, missing_parameters, replay

pytestmark = pytest.mark.slow
DATA = Path(__file__).parents[1] / "data"
GOLDEN = read_golden(DATA / "golden_seed0.npz")
TRAJECTORY = read_golden(DATA / "trajectory_seed0.npz")
FAMILIES = sorted({name.split(".")[0] for name in GOLDEN} - {"seed"})


@pytest.fixture(scope="module")
def models():
    return golden_entries.GoldenModels(read_manifest(), seed_of(GOLDEN, ""))


@pytest.fixture(scope="module")
def rows(models):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden_entries, "GoldenModels", lambda manifest, seed: models)
        return {row.name: row for row in compare(GOLDEN, compute(GOLDEN, seed_of(GOLDEN, "")))}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_entry_agrees(rows, family):
    names = [name for name in GOLDEN if name.startswith(f"{family}.") and name not in INPUTS]
    assert names and all(name in rows for name in names)
    assert [rows[name] for name in names if not rows[name].ok] == []


def test_losses_rates_and_decay_of_the_first_updates(models, rows):
    """After `rows`, because it trains the models. The fourth loss depends on three updates."""
    kinds = list(TRAJECTORY["kinds"][:4])
    assert kinds == ["itc", "itm", "mlm", "mpfc"]
    step = TrajectoryStep(GOLDEN, models.pretraining, 0)
    ours, sizes = replay({**TRAJECTORY, "kinds": kinds[:3]}, step)
    losses = [*ours.losses, step.loss(kinds[3]).item()]
    np.testing.assert_allclose(losses, TRAJECTORY["losses"][:4], atol=5e-6)
    ours_has = ~np.isnan(ours.lr)
    assert ours_has.sum() == 421 and (np.isnan(sizes) == ~ours_has).all()
    np.testing.assert_allclose(ours.lr[ours_has], TRAJECTORY["lr"][ours_has], rtol=1e-12)
    np.testing.assert_allclose(ours.weight_decay[ours_has], TRAJECTORY["weight_decay"][ours_has], rtol=1e-12)
    # Three updates change each parameter by three full steps at most.
    assert (ours.change[ours_has] <= 3.01 * ours.lr[ours_has] * np.sqrt(sizes[ours_has])).all()
    assert {name.split(".")[2] for name in missing_parameters(TRAJECTORY, ours)} == {"pooler"}
