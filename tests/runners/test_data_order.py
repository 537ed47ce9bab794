from dataclasses import replace
from itertools import islice

import pytest
from omegaconf import OmegaConf
from runner_toy import ToyDataset

from fashionfae_lavis.runners.batches import EndlessBatches, JointBatches
from fashionfae_lavis.runners.data_order import DataOrder, training_batches
from fashionfae_lavis.runners.joint import JointDataset

ONE = DataOrder(batch_size=3, accumulate=2, seed=4, processes=5, samples=24)
SIZES = {"shirts": 12, "bags": 24}
JOINT = replace(ONE, samples=SIZES, ratios={"shirts": 1.0, "bags": 0.5})


def test_an_order_is_read_from_the_training_split_and_the_configuration():
    run = OmegaConf.create({"batch_size_train": 3, "accum_grad_iters": 2, "seed": 4})
    assert DataOrder.of(ToyDataset(24), run) == replace(ONE, processes=1)
    defaults = DataOrder.of(ToyDataset(24), OmegaConf.create({"batch_size_train": 3}))
    assert defaults == DataOrder(3, accumulate=1, seed=42, processes=1, samples=24, ratios=None)
    joint = JointDataset({name: ToyDataset(size) for name, size in SIZES.items()})
    run.train_dataset_ratios = {"bags": 0.5, "shirts": 1}
    assert DataOrder.of(joint, run) == replace(JOINT, processes=1)


def test_keys_of_a_checkpoint():
    state = {
        "run.batch_size_train": 3,
        "run.accum_grad_iters": 2,
        "run.seed": 4,
        "number of processes": 5,
        "number of training samples": SIZES,
        "run.train_dataset_ratios": {"shirts": 1.0, "bags": 0.5},
    }
    assert JOINT.state_dict() == state and DataOrder.from_state(state) == JOINT
    state.pop("run.train_dataset_ratios")  # as checkpoints from before joint training
    assert DataOrder.from_state({**state, "number of training samples": 24}) == ONE


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, None),
        ({"batch_size": 6}, "run.batch_size_train = 3, not 6"),
        ({"accumulate": 1, "seed": 0}, "run.accum_grad_iters = 2, not 1"),
        ({"seed": 0}, "run.seed = 4, not 0"),
        ({"processes": 1}, "number of processes = 5, not 1"),
        (
            {"samples": {"shirts": 12, "bags": 25}},
            f"number of training samples = {SIZES}, not {{'shirts': 12, 'bags': 25}}",
        ),
        ({"ratios": None}, "run.train_dataset_ratios = {'shirts': 1.0, 'bags': 0.5}, not unset"),
    ],
)
def test_the_setting_that_differs_is_named(changes, difference):
    assert JOINT.difference(replace(JOINT, **changes)) == difference


def test_samples_of_all_datasets():
    assert ONE.all_samples == 24 and JOINT.all_samples == 36


def test_samples_per_update_of_all_processes():
    assert ONE.samples_per_update == 3 * 2 * 5


def test_batches_follow_the_order():
    batches = training_batches(replace(ONE, processes=1))
    assert batches.batches_per_epoch == 8
    assert list(islice(batches, 20)) == list(islice(EndlessBatches(24, 3, seed=4), 20))
    batches = training_batches(replace(JOINT, processes=1))
    assert batches.batches_per_epoch == 4 + 8
    assert list(islice(batches, 20)) == list(islice(JointBatches(SIZES, JOINT.ratios, 3, seed=4), 20))
