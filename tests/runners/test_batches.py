import random
from itertools import islice

import numpy as np
import pytest
import torch
from runner_toy import ToyDataset

from fashionfae_lavis.datasets.loaders import SeededBatches, training_loader
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.batches import EndlessBatches, JointBatches

SIZES = {"shirts": 12, "bags": 24, "shoes": 9}
RATIOS = {"shirts": 1.0, "bags": 2.0, "shoes": 0.5}


def test_order_resumes_at_any_batch():
    batches = EndlessBatches(length=23, batch_size=4, seed=3)
    assert batches.batches_per_epoch == 5
    whole = list(islice(batches, 17))
    for first in (0, 1, 5, 13):
        assert list(islice(batches.starting_at(first), 17 - first)) == whole[first:]
    assert list(islice(batches, 17)) == whole


def test_each_epoch_visits_every_sample_once_in_a_new_order():
    epochs = list(islice(EndlessBatches(length=12, batch_size=4, seed=0), 6))
    first, second = sum(epochs[:3], []), sum(epochs[3:], [])
    assert {epoch for epoch, _ in first} == {0} and {epoch for epoch, _ in second} == {1}
    orders = [[index for _, index in pairs] for pairs in (first, second)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(12))
    assert orders[0] != orders[1]


def test_ranks_share_an_epoch_out_and_agree_with_one_process():
    ranks = [list(islice(EndlessBatches(24, 4, seed=5, rank=rank, world_size=2), 3)) for rank in range(2)]
    single = islice(EndlessBatches(24, 8, seed=5), 3)
    for mine, yours, both in zip(*ranks, single, strict=True):
        assert sorted(mine + yours) == sorted(both)


def test_batches_of_one_product_or_more_than_there_are_are_rejected():
    with pytest.raises(UserError, match="run.batch_size_train: 1 on 1 process.* batches of one product"):
        EndlessBatches(10, 1, seed=0)
    with pytest.raises(UserError, match="6 on 2 process.* exceeds the 10 training samples: set it to 5 or less"):
        EndlessBatches(10, 6, seed=0, world_size=2)
    EndlessBatches(10, 1, seed=0, world_size=2)


def test_joint_batches_against_a_slow_reference():
    parts = [iter(EndlessBatches(size, 3, seed=5)) for size in SIZES.values()]
    rng, expected = np.random.default_rng(5), []
    for _ in range(40):
        number = rng.random() * 3.5
        part = 0 if number < 1 else 1 if number < 3 else 2
        offset = (0, 12, 36)[part]
        expected.append([(epoch, offset + index) for epoch, index in next(parts[part])])
    assert list(islice(JointBatches(SIZES, RATIOS, 3, seed=5), 40)) == expected


def test_joint_order_resumes_at_any_batch_of_each_dataset():
    batches = JointBatches(SIZES, RATIOS, 3, seed=1)
    whole = list(islice(batches, 60))
    for first in (0, 1, 7, 30, 59):
        assert list(islice(batches.starting_at(first), 60 - first)) == whole[first:]


def test_processes_draw_the_same_dataset_and_share_its_epoch():
    ranks = [islice(JointBatches(SIZES, RATIOS, 2, seed=3, rank=rank, world_size=2), 30) for rank in range(2)]
    for mine, yours, both in zip(*ranks, JointBatches(SIZES, RATIOS, 4, seed=3), strict=False):
        assert sorted(mine + yours) == sorted(both)


def test_items_do_not_depend_on_workers_or_on_what_was_drawn_before():
    dataset, seen = ToyDataset(), []
    for workers in (0, 2):
        torch.rand(workers + 1)
        order = EndlessBatches(len(dataset), 4, seed=1).starting_at(4)
        loader = training_loader(dataset, order, seed=1, workers=workers, pin=False)
        seen.append([batch["x"] for batch in islice(loader, 7)])
    assert torch.equal(torch.stack(seen[0]), torch.stack(seen[1]))


def test_seeded_items_leave_the_generators_alone():
    dataset = SeededBatches(ToyDataset(), seed=1)

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = draw()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    items = [dataset[0, [(epoch, 3)]]["x"] for epoch in (0, 1, 0)]
    assert draw() == expected
    assert torch.equal(items[0], items[2]) and not torch.equal(items[0], items[1])


def test_starting_a_loader_leaves_the_models_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    order = EndlessBatches(24, 4, seed=1)
    next(iter(training_loader(ToyDataset(), order, seed=1, workers=0, pin=False)))
    assert torch.equal(torch.rand(3), expected)
