from collections import Counter
from itertools import islice
from signal import SIGTERM

import pytest
import torch
from omegaconf import OmegaConf
from runner_toy import SignalledTask, ToyDataset, ToyTask, make_runner
from torch.utils.data import IterableDataset

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.datasets.loaders import training_loader
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.interruption import Interrupted, interruptible
from fashionfae_lavis.runners.batches import JointBatches
from fashionfae_lavis.runners.joint import JointDataset, find_split, join_splits, sizes_and_ratios, splits_to_test

SIZES = {"shirts": 12, "bags": 24, "shoes": 9}
RATIOS = {"shirts": 1.0, "bags": 2.0, "shoes": 0.5}


class NamedToys(ToyDataset):
    """A toy dataset whose collater adds its name to the batch."""

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


def test_ratios_are_frequencies_and_each_dataset_has_its_own_epochs():
    dataset = JointDataset({name: splits["train"] for name, splits in toys().items()})
    batches = list(islice(JointBatches(SIZES, RATIOS, 3, seed=0), 3500))
    of = [{dataset[index][0] for _, index in batch} for batch in batches]
    assert all(len(origins) == 1 for origins in of)
    counts = Counter(origin for (origin,) in of)
    assert [counts[origin] / 3500 for origin in range(3)] == pytest.approx([2 / 7, 4 / 7, 1 / 7], abs=0.03)
    seen = Counter(pair for batch in batches for pair in batch)
    assert set(seen.values()) == {1}  # nothing twice in an epoch
    last = [max(epoch for epoch, index in seen if dataset[index][0] == origin) for origin in range(3)]
    assert last == [(counts[origin] - 1) // size for origin, size in enumerate((4, 8, 3))]


def test_a_batch_is_collated_by_its_own_dataset_whatever_the_workers():
    dataset, seen = JointDataset({name: splits["train"] for name, splits in toys().items()}), []
    for workers in (0, 2):
        loader = training_loader(dataset, JointBatches(SIZES, RATIOS, 3, seed=2), seed=2, workers=workers, pin=False)
        seen.append(list(islice(loader, 30)))
    assert {batch["name"] for batch in seen[0]} == set(SIZES)
    for first, second in zip(*seen, strict=True):
        assert first["name"] == second["name"] and torch.equal(first["x"], second["x"])


def test_a_split_that_several_datasets_have_is_named_after_its_dataset():
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


def test_ratios_default_to_the_sizes():
    dataset = join_splits(toys())["train"]
    assert sizes_and_ratios(dataset, OmegaConf.create({})) == (SIZES, {"shirts": 12, "bags": 24, "shoes": 9})
    given = OmegaConf.create({"train_dataset_ratios": {"shoes": 1, "bags": 2, "shirts": 0.5}})
    assert sizes_and_ratios(dataset, given)[1] == {"shirts": 0.5, "bags": 2, "shoes": 1}


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ({"shirts": 1, "bags": 1}, "'shoes' is missing; give a number for each of shirts, bags, shoes"),
        ({**RATIOS, "hats": 1}, "'hats' is not trained on; give a number for each of"),
        ({**RATIOS, "bags": 0}, "bags is 0, but must be a number above 0; to train without this dataset, remove it"),
        ({**RATIOS, "bags": "two"}, "bags is 'two', but must be a number above 0"),
        ({**RATIOS, "bags": True}, "bags is True, but must be a number above 0"),
        ([1, 2, 3], r"is \[1, 2, 3\], but must give a number for each of shirts, bags, shoes"),
    ],
)
def test_invalid_ratios(tmp_path, ratios, message):
    with pytest.raises(UserError, match="run.train_dataset_ratios.*" + message):
        runner(tmp_path, train_dataset_ratios=ratios)


def test_other_invalid_settings(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(UserError, match="`datasets.shoes`: run.batch_size_train: 10 .* exceeds the 9 training samples"):
        runner(tmp_path, batch_size_train=10)
    with pytest.raises(UserError, match="run.train_dataset_ratios needs several datasets"):
        make_runner(tmp_path, train_dataset_ratios={"toy": 1})
    with pytest.raises(UserError, match="no split 'train' that can be indexed"):
        make_runner(tmp_path, datasets={"a": {"train": Stream()}, "b": {"train": ToyDataset()}})
    datasets = {name: {"train": ToyDataset(), "val": ToyDataset()} for name in ("a", "b")}
    with pytest.raises(UserError, match="no split 'val' .* the datasets have train, a.val, b.val"):
        make_runner(tmp_path, datasets=datasets, max_iters=1).train()


class CrashingTask(ToyTask):
    """Fails at update 9, like a program that is killed."""

    def train_step(self, model, samples):
        if samples["iters"] == 9:
            raise KeyboardInterrupt
        self.seen.append(samples["name"])
        return super().train_step(model, samples)


class NamingTask(ToyTask):
    def train_step(self, model, samples):
        self.seen.append(samples["name"])
        return super().train_step(model, samples)


def test_find_split_returns_a_split_or_says_which_there_are():
    split = ToyDataset()
    assert find_split({"val": split}, "val") is split
    with pytest.raises(UserError, match="no split 'test' that can be indexed; the datasets have train, val"):
        find_split({"train": split, "val": split}, "test")


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path):
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


def test_checkpoints_of_other_ratios_or_data_do_not_resume(tmp_path):
    runner(tmp_path, max_iters=4).train()
    path = tmp_path / "job" / "checkpoint_last.pth"
    for settings, message in (
        ({"train_dataset_ratios": {**RATIOS, "bags": 1}}, "was made with run.train_dataset_ratios = .*'bags': 2.0"),
        ({"sizes": {**SIZES, "bags": 25}}, "was made with number of training samples = .*'bags': 24"),
    ):
        with pytest.raises(UserError, match=message):
            runner(tmp_path, resume_ckpt_path=str(path), **settings).train()


def test_checkpoints_from_before_joint_training_resume(tmp_path):
    first = make_runner(tmp_path, SignalledTask(SIGTERM, at=3), max_iters=8)
    with pytest.raises(Interrupted), interruptible():
        first.train()
    path = first.output_dir / "checkpoint_last.pth"
    state = read_checkpoint(path)
    del state["data_order"]["run.train_dataset_ratios"]
    torch.save(state, path)
    again = make_runner(tmp_path, max_iters=8, resume_ckpt_path=str(path))
    again.train()
    assert again.progress.iters == 8


@pytest.mark.parametrize(
    ("datasets", "named", "tested"),
    [
        ({"bags": ["train", "val", "test"]}, ["auto"], ["test"]),
        ({"bags": ["train", "val"]}, ["auto"], ["val"]),
        ({"bags": ["test"]}, ["auto"], ["test"]),
        ({"bags": ["train", "val"], "shoes": ["val", "test"]}, ["auto"], ["bags.val", "shoes.test"]),
        ({"bags": ["train", "val", "test"]}, ["val"], ["val"]),
        ({"bags": ["train"]}, [], []),
        ({"bags": ["train"]}, None, []),
    ],
)
def test_auto_is_test_or_without_it_val(datasets, named, tested):
    splits = {name: dict.fromkeys(found, ToyDataset(2)) for name, found in datasets.items()}
    assert splits_to_test({"test_splits": named}, splits) == tested
    assert all(name in join_splits(splits) for name in tested)


def test_auto_without_a_split_to_test_is_an_error():
    with pytest.raises(UserError, match="run.test_splits is auto, but bags has neither test nor val, only train"):
        splits_to_test({"test_splits": ["auto"]}, {"bags": {"train": None}})


def test_a_run_tests_the_splits_that_auto_names(tmp_path):
    datasets = {"toys": {"train": ToyDataset(8), "val": ToyDataset(4), "test": ToyDataset(4)}}
    results = make_runner(tmp_path, datasets=datasets, valid_splits=[], test_splits=["auto"]).train()
    assert list(results) == ["test"]
