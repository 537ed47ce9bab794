"""Training on one data set or on several at once, by ratios: a run's splits, and the order of its batches.

Each batch, on all processes together, is of one data set. Its negatives are then of one kind, so that ITC and ITM
cannot tell products apart by where they come from; and product ids, which mean something within a data set, can be
compared.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping

import numpy as np
from lavis.common.dist_utils import get_rank, get_world_size
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Sampler, default_collate

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.data_order import EndlessBatches


class JointDataset(ConcatDataset):
    """Training splits one after the other, by the name of their data set; an item says which one it is of.

    Only batches of one data set can be collated: they are put together as that data set does it.
    """

    def __init__(self, datasets: Mapping[str, Dataset]):
        super().__init__(datasets.values())
        self.names = list(datasets)

    def __getitem__(self, index: int) -> tuple[int, object]:
        return bisect_right(self.cumulative_sizes, index), super().__getitem__(index)

    def collater(self, items: list[tuple[int, object]]):
        (place,) = {place for place, _ in items}
        return getattr(self.datasets[place], "collater", default_collate)([item for _, item in items])


class JointBatches(Sampler):
    """Batches of `(epoch, index in a JointDataset)` of one process, without end, each of one data set drawn by ratio.

    The draws depend on the seed alone, so that all processes are at the same data set. Each data set has the order that
    `EndlessBatches` gives it, and its epochs; `first` is as there, and the place in each data set follows from it.

    Args:
        sizes: name of a data set -> number of its samples.
        ratios: the same names -> how often a batch is its own, relative to the others.

    Raises:
        UserError: as EndlessBatches, with the name of the data set.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        ratios: Mapping[str, float],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.parts = []
        for name, size in sizes.items():
            try:
                self.parts.append(EndlessBatches(size, batch_size, seed, rank, world_size))
            except UserError as error:
                raise UserError(f"`datasets.{name}`: {error}") from error
        self.batches_per_epoch = sum(part.batches_per_epoch for part in self.parts)
        self.first = 0
        self._offsets = np.cumsum([0, *sizes.values()])
        bounds = np.cumsum([ratios[name] for name in sizes])
        self._bounds = bounds / bounds[-1]
        self._seed = seed

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng(self._seed)
        passed = np.bincount(self._draw(rng, self.first), minlength=len(self.parts))
        for part, first in zip(self.parts, passed, strict=True):
            part.first = int(first)
        batches = [iter(part) for part in self.parts]
        while True:
            (place,) = self._draw(rng, 1)
            offset = int(self._offsets[place])
            yield [(epoch, offset + index) for epoch, index in next(batches[place])]

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """The data sets of the next `count` batches; many at once are the same as one after the other."""
        return np.searchsorted(self._bounds, rng.random(count), side="right")


def join_splits(datasets: Mapping[str, Mapping[str, Dataset]]) -> dict[str, Dataset]:
    """Splits by data set and name, as LAVIS's tasks build them -> by name alone.

    `train` is all of them, in a JointDataset where there are several. Any other split of several data sets is called
    `<data set>.<split>`, and `<split>` too where only one of them has it.
    """
    if len(datasets) == 1:
        return dict(*datasets.values())
    trained = {name: splits["train"] for name, splits in datasets.items() if "train" in splits}
    streams = [split for split in trained.values() if isinstance(split, IterableDataset)]
    joined = {}
    if trained:
        # a stream has no order to draw from; whoever asks for the split is told so
        joined["train"] = streams[0] if streams else JointDataset(trained)
    others = [(name, split) for name, splits in datasets.items() for split in splits if split != "train"]
    names = [split for _, split in others]
    for name, split in others:
        joined[f"{name}.{split}"] = datasets[name][split]
        if names.count(split) == 1:
            joined[split] = datasets[name][split]
    return joined


def sizes_and_ratios(dataset: Dataset, run: DictConfig) -> tuple[int | dict[str, int], dict[str, float] | None]:
    """Number of training samples and `run.train_dataset_ratios`, of a JointDataset each by name.

    Without ratios in the configuration they are the sizes.

    Raises:
        UserError: ratios for one data set, for other ones than are trained on, or that are not positive numbers.
    """
    ratios = run.get("train_dataset_ratios")
    key = "run.train_dataset_ratios"
    if not isinstance(dataset, JointDataset):
        if ratios:
            raise UserError(f"{key} is for several data sets, but only one is trained on: leave it out.")
        return len(dataset), None
    sizes = dict(zip(dataset.names, map(len, dataset.datasets), strict=True))
    if not ratios:
        return sizes, {name: float(size) for name, size in sizes.items()}
    if not OmegaConf.is_dict(ratios):
        raise UserError(f"{key} is {ratios!r}, but must give a number for each of {', '.join(sizes)}.")
    if set(ratios) != set(sizes):
        odd = sorted(set(ratios) ^ set(sizes))[0]
        wrong = "is no data set to train on" if odd in ratios else "has none"
        raise UserError(f"{key}: {odd} {wrong}: give a number for each of {', '.join(sizes)}.")
    for name, ratio in ratios.items():
        number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
        if not number or not math.isfinite(ratio) or ratio <= 0:
            raise UserError(
                f"{key}.{name} is {ratio!r}, but must be a number above 0; leave a data set out to not train on it."
            )
    return sizes, {name: float(ratios[name]) for name in sizes}


def data_order(dataset: Dataset, run: DictConfig) -> dict:
    """What the order of the training samples depends on: a checkpoint is only continued with the same values."""
    samples, ratios = sizes_and_ratios(dataset, run)
    return {
        "run.batch_size_train": int(run.batch_size_train),
        "run.accum_grad_iters": int(run.get("accum_grad_iters", 1)),
        "run.seed": int(run.get("seed", 42)),
        "number of processes": get_world_size(),
        "number of training samples": samples,
        "run.train_dataset_ratios": ratios,
    }


def training_batches(order: Mapping) -> EndlessBatches | JointBatches:
    """This process's batches in this `data_order`."""
    batch_size, _, seed, processes, samples, ratios = order.values()
    if ratios is None:
        return EndlessBatches(samples, batch_size, seed, get_rank(), processes)
    return JointBatches(samples, ratios, batch_size, seed, get_rank(), processes)
