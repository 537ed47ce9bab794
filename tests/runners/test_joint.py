from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from runner_toy import ToyDataset, ToyTask, make_runner
from torch.utils.data import IterableDataset

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.datasets.loaders import training_loader
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.data_order import EndlessBatches
from fashionfae_lavis.runners.joint import (
    JointBatches,
    JointDataset,
    data_order,
    join_splits,
    sizes_and_ratios,
    training_batches,
)

SIZES = {"shirts": 12, "bags": 24, "shoes": 9}
RATIOS = {"shirts": 1.0, "bags": 2.0, "shoes": 0.5}


class NamedToys(ToyDataset):
    """A toy data set whose batches say what they are of, as its own collater tells."""

    def __init__(self, name, length):
        super().__init__(length)
        self.name = name

    def collater(self, samples):
        return {**super().collater(samples), "name": self.name}


def toys(sizes=SIZES):
    return {name: {"train": NamedToys(name, size), f"only_{name}": ToyDataset(4)} for name, size in sizes.items()}


def runner(folder, task=None, sizes=SIZES, **run):
    datasets = toys(sizes)
    datasets["bags"]["val"] = ToyDataset(10, noise=0)
    return make_runner(folder, task, datasets=datasets, **{"train_dataset_ratios": RATIOS, **run})


def test_batches_against_a_slow_reference():
    parts = [iter(EndlessBatches(size, 3, seed=5)) for size in SIZES.values()]
    rng, expected = np.random.default_rng(5), []
    for _ in range(40):
        number = rng.random() * 3.5
        place = 0 if number < 1 else 1 if number < 3 else 2
        offset = (0, 12, 36)[place]
        expected.append([(epoch, offset + index) for epoch, index in next(parts[place])])
    assert list(islice(JointBatches(SIZES, RATIOS, 3, seed=5), 40)) == expected


def test_order_resumes_at_any_batch_in_each_data_set():
    batches = JointBatches(SIZES, RATIOS, 3, seed=1)
    whole = list(islice(batches, 60))
    for first in (0, 1, 7, 30, 59):
        batches.first = first
        assert list(islice(batches, 60 - first)) == whole[first:]


def test_ratios_are_how_often_and_each_data_set_has_epochs_of_its_own():
    dataset = JointDataset({name: splits["train"] for name, splits in toys().items()})
    batches = list(islice(JointBatches(SIZES, RATIOS, 3, seed=0), 3500))
    of = [{dataset[index][0] for _, index in batch} for batch in batches]
    assert all(len(places) == 1 for places in of)
    counts = Counter(place for (place,) in of)
    assert [counts[place] / 3500 for place in range(3)] == pytest.approx([2 / 7, 4 / 7, 1 / 7], abs=0.03)
    seen = Counter(pair for batch in batches for pair in batch)
    assert set(seen.values()) == {1}  # nothing twice in an epoch
    last = [max(epoch for epoch, index in seen if dataset[index][0] == place) for place in range(3)]
    assert last == [(counts[place] - 1) // size for place, size in enumerate((4, 8, 3))]


def test_processes_are_at_the_same_data_set_and_share_it_out():
    ranks = [islice(JointBatches(SIZES, RATIOS, 2, seed=3, rank=rank, world_size=2), 30) for rank in range(2)]
    for mine, yours, both in zip(*ranks, JointBatches(SIZES, RATIOS, 4, seed=3), strict=False):
        assert sorted(mine + yours) == sorted(both)


def test_a_batch_is_put_together_by_its_own_data_set_whatever_the_workers():
    dataset, seen = JointDataset({name: splits["train"] for name, splits in toys().items()}), []
    for workers in (0, 2):
        loader = training_loader(dataset, JointBatches(SIZES, RATIOS, 3, seed=2), seed=2, workers=workers, pin=False)
        seen.append(list(islice(loader, 30)))
    assert {batch["name"] for batch in seen[0]} == set(SIZES)
    for first, second in zip(*seen, strict=True):
        assert first["name"] == second["name"] and torch.equal(first["x"], second["x"])


def test_splits_have_the_name_of_their_data_set_where_several_have_them():
    train, val, test = ToyDataset(), ToyDataset(1), ToyDataset(2)
    assert join_splits({"bags": {"train": train, "val": val}}) == {"train": train, "val": val}
    splits = join_splits({"bags": {"train": train, "val": val}, "shirts": {"train": train, "val": test, "test": test}})
    assert {name: splits[name] for name in splits if name != "train"} == {
        "bags.val": val,
        "shirts.val": test,
        "shirts.test": test,
        "test": test,
    }
    assert splits["train"].names == ["bags", "shirts"] and len(splits["train"]) == 2 * len(train)
    assert "train" not in join_splits({"bags": {"val": val}, "shirts": {"val": test}})


def test_ratios_are_the_sizes_unless_they_are_given():
    dataset = join_splits(toys())["train"]
    assert sizes_and_ratios(dataset, OmegaConf.create({})) == (SIZES, {"shirts": 12, "bags": 24, "shoes": 9})
    given = OmegaConf.create({"train_dataset_ratios": {"shoes": 1, "bags": 2, "shirts": 0.5}})
    assert sizes_and_ratios(dataset, given)[1] == {"shirts": 0.5, "bags": 2, "shoes": 1}
    run = OmegaConf.create({"batch_size_train": 3, "seed": 4})
    batches, expected = training_batches(data_order(dataset, run)), JointBatches(SIZES, SIZES, 3, seed=4)
    assert list(islice(batches, 30)) == list(islice(expected, 30))
    assert batches.batches_per_epoch == 4 + 8 + 3


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ({"shirts": 1, "bags": 1}, "shoes has none: give a number for each of shirts, bags, shoes"),
        ({**RATIOS, "hats": 1}, "hats is no data set to train on: give a number for each of"),
        ({**RATIOS, "bags": 0}, "bags is 0, but must be a number above 0; leave a data set out"),
        ({**RATIOS, "bags": "two"}, "bags is 'two', but must be a number above 0"),
        ({**RATIOS, "bags": True}, "bags is True, but must be a number above 0"),
        ([1, 2, 3], r"is \[1, 2, 3\], but must give a number for each of shirts, bags, shoes"),
    ],
)
def test_ratios_that_make_no_sense(tmp_path, ratios, message):
    with pytest.raises(UserError, match="run.train_dataset_ratios.*" + message):
        runner(tmp_path, train_dataset_ratios=ratios)


def test_other_settings_that_make_no_sense(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(UserError, match="`datasets.shoes`: run.batch_size_train: 10 .* than the 9 training samples"):
        runner(tmp_path, batch_size_train=10)
    with pytest.raises(UserError, match="run.train_dataset_ratios is for several data sets"):
        make_runner(tmp_path, train_dataset_ratios={"toy": 1})
    with pytest.raises(UserError, match="no split 'train' that can be indexed"):
        make_runner(tmp_path, datasets={"a": {"train": Stream()}, "b": {"train": ToyDataset()}})
    datasets = {name: {"train": ToyDataset(), "val": ToyDataset()} for name in ("a", "b")}
    with pytest.raises(UserError, match="no split 'val' .* the data sets give train, a.val, b.val"):
        make_runner(tmp_path, datasets=datasets, max_iters=1).train()


class CrashingTask(ToyTask):
    """Fails like a program that is killed, at update 9."""

    def train_step(self, model, samples):
        if samples["iters"] == 9:
            raise KeyboardInterrupt
        self.seen.append(samples["name"])
        return super().train_step(model, samples)


class NamingTask(ToyTask):
    def train_step(self, model, samples):
        self.seen.append(samples["name"])
        return super().train_step(model, samples)


def test_a_run_that_was_broken_off_goes_on_to_the_same_weights(tmp_path):
    whole = runner(tmp_path / "whole", NamingTask(), accum_grad_iters=2)
    whole.train()
    assert set(SIZES) == {name for name in whole.task.seen if isinstance(name, str)}
    with pytest.raises(KeyboardInterrupt):
        runner(tmp_path / "broken", CrashingTask(), accum_grad_iters=2).train()
    resumed = runner(tmp_path / "broken", NamingTask(), accum_grad_iters=2, resume_ckpt_path="auto", num_workers=1)
    resumed.train()
    assert resumed.task.seen == whole.task.seen[2 * 2 * 8 :]
    one, two = (read_checkpoint(run.output_dir / "checkpoint_last.pth")["model"] for run in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_checkpoints_of_other_ratios_and_data_are_not_continued(tmp_path):
    runner(tmp_path, max_iters=4).train()
    path = tmp_path / "job" / "checkpoint_last.pth"
    for settings, message in (
        ({"train_dataset_ratios": {**RATIOS, "bags": 1}}, "was made with run.train_dataset_ratios = .*'bags': 2.0"),
        ({"sizes": {**SIZES, "bags": 25}}, "was made with number of training samples = .*'bags': 24"),
    ):
        with pytest.raises(UserError, match=message):
            runner(tmp_path, resume_ckpt_path=str(path), **settings).train()


def test_checkpoints_from_before_there_were_ratios_are_continued(tmp_path):
    first = make_runner(tmp_path, max_iters=4)
    first.train()
    path = first.output_dir / "checkpoint_last.pth"
    state = read_checkpoint(path)
    del state["data_order"]["run.train_dataset_ratios"]
    torch.save(state, path)
    again = make_runner(tmp_path, max_iters=8, resume_ckpt_path=str(path))
    again.train()
    assert again.iters == 8
