"""Endless sequences of training batches that depend on the seed, not on the number of workers.

A sampler yields batches of `(epoch, index)` pairs and can start at any batch, which makes resuming exact.
`join_batches` makes one batch of several that were loaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, Sampler

from fashionfae_lavis.errors import UserError


class TrainingBatches(Sampler[list[tuple[int, int]]]):
    """Base class of the samplers below, which yield the batches of one process without end.

    Attributes:
        batches_per_epoch: number of batches in one pass over the samples.
    """

    batches_per_epoch: int
    _first = 0

    def starting_at(self, first: int) -> "TrainingBatches":
        """Returns a sampler of the same batches from number `first` on, without visiting the earlier ones."""
        later = copy(self)
        later._first = first
        return later


class EndlessBatches(TrainingBatches):
    """Sampler of batches from one dataset.

    Each epoch is a new permutation, drawn from `(seed, epoch)` and divided among the processes. Samples that do not
    fill a batch on every process are dropped.

    Args:
        length: number of samples.
        batch_size: samples in a batch of one process.
        seed: seed of the permutations.
        rank: index of this process.
        world_size: number of processes.

    Raises:
        UserError: the dataset has fewer samples than one batch of all processes, or such a batch has one sample.
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        setting = f"run.batch_size_train: {batch_size} on {world_size} process(es)"
        if batch_size * world_size < 2:
            raise UserError(f"{setting} makes batches of one product, but the losses contrast at least two.")
        if length < batch_size * world_size:
            most = length // world_size
            raise UserError(f"{setting} exceeds the {length} training samples: set it to {most} or less.")
        self.batch_size = batch_size
        self.batches_per_epoch = length // world_size // batch_size
        self._sampler: DistributedSampler = DistributedSampler(
            range(length),  # type: ignore[arg-type]  # only its length is used
            world_size,
            rank,
            shuffle=True,
            seed=seed,
            drop_last=True,
        )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, skipped = divmod(self._first, self.batches_per_epoch)
        while True:
            self._sampler.set_epoch(epoch)
            indices = list(self._sampler)
            for batch in range(skipped, self.batches_per_epoch):
                start = batch * self.batch_size
                yield [(epoch, index) for index in indices[start : start + self.batch_size]]
            epoch, skipped = epoch + 1, 0


class JointBatches(TrainingBatches):
    """Sampler of batches from several datasets; each batch comes from one dataset, drawn by ratio.

    The draws depend only on the seed, so all processes train on the same dataset at the same time. Each dataset keeps
    the order and the epochs that `EndlessBatches` gives it. Indices refer to a `JointDataset`.

    Args:
        sizes: dataset name -> number of its samples.
        ratios: dataset name -> relative frequency of its batches.
        batch_size, seed, rank, world_size: as for `EndlessBatches`.

    Raises:
        UserError: as for `EndlessBatches`, with the name of the dataset.
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
        self._parts: list[EndlessBatches] = []
        for name, size in sizes.items():
            try:
                self._parts.append(EndlessBatches(size, batch_size, seed, rank, world_size))
            except UserError as error:
                raise UserError(f"`datasets.{name}`: {error}") from error
        self.batches_per_epoch = sum(part.batches_per_epoch for part in self._parts)
        self._offsets = np.cumsum([0, *sizes.values()])
        bounds = np.cumsum([ratios[name] for name in sizes])
        self._bounds = bounds / bounds[-1]
        self._seed = seed

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng(self._seed)
        done = np.bincount(self._draw(rng, self._first), minlength=len(self._parts))
        batches = [iter(part.starting_at(int(first))) for part, first in zip(self._parts, done, strict=True)]
        while True:
            (drawn,) = self._draw(rng, 1)
            offset = int(self._offsets[drawn])
            yield [(epoch, offset + index) for epoch, index in next(batches[drawn])]

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws the dataset indices of the next `count` batches; one draw of many equals many draws of one."""
        return np.searchsorted(self._bounds, rng.random(count), side="right")


def join_batches(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Concatenates collated batches with the same keys: tensors along their first dimension, and lists.

    >>> join_batches([{"x": torch.tensor([1, 2]), "text": ["a", "b"]}, {"x": torch.tensor([3]), "text": ["c"]}])
    {'x': tensor([1, 2, 3]), 'text': ['a', 'b', 'c']}
    """
    joined: dict[str, Any] = {}
    for key in batches[0]:
        values = [batch[key] for batch in batches]
        joined[key] = torch.cat(values) if isinstance(values[0], Tensor) else list(chain(*values))
    return joined
