"""Loaders of training and evaluation data.

Every dataset collates its items in a method `collater`, as LAVIS's `BaseDataset` does.
"""

import os
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any, cast

import torch
from lavis.common.dist_utils import get_world_size
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from fashionfae_lavis.datasets.protocols import Split
from fashionfae_lavis.distributed import own_share
from fashionfae_lavis.interruption import ignore_signals
from fashionfae_lavis.random_state import preserved, seed_generators

Prepare = Callable[[Any, int], Any]  # maps a batch and its number in the run


class SeededBatches(Dataset):
    """Dataset of whole batches: reads their items, collates them and prepares the batch for the model.

    Each item `(epoch, index)` is read under a separate seed, which makes random processors reproducible.

    Args:
        dataset: the split to read from.
        seed: seed of the run.
        prepare: is applied to each batch; None for nothing.
    """

    def __init__(self, dataset: Split, seed: int, prepare: Prepare | None = None):
        self.dataset = dataset
        self.seed = seed
        self.prepare = prepare

    def __getitem__(self, batch: tuple[int, Sequence[tuple[int, int]]]) -> Any:
        number, keys = batch
        with preserved():
            items = [self._item(*key) for key in keys]
        samples = self.dataset.collater(items)
        return self.prepare(samples, number) if self.prepare else samples

    def _item(self, epoch: int, index: int) -> Any:
        seed_generators(self.seed, epoch, index)
        return self.dataset[index]


class Numbered(Sampler[tuple[int, list[tuple[int, int]]]]):
    """Sampler that numbers the batches of a sampler from `first` on."""

    def __init__(self, batches: Sampler[list[tuple[int, int]]], first: int):
        self.batches = batches
        self.first = first

    def __iter__(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        return enumerate(self.batches, self.first)


def training_loader(
    dataset: Split,
    batches: Sampler[list[tuple[int, int]]],
    seed: int,
    workers: int,
    pin: bool,
    prepare: Prepare | None = None,
    first: int = 0,
) -> DataLoader:
    """Makes an endless loader in the order of `batches`. Its workers live as long as its only iterator.

    Args:
        dataset: the training split.
        batches: sampler of batches of `(epoch, index)`.
        seed: seed of the run.
        workers: number of worker processes.
        pin: whether to load into pinned memory, for a GPU.
        prepare: is applied to each collated batch and its number in the run, in the workers.
        first: number of the first batch.
    """
    items = SeededBatches(dataset, seed, prepare)
    return _loader(items, _as_collated, workers, pin, sampler=Numbered(batches, first), batch_size=None)


def evaluation_loader(dataset: Any, batch_size: int, workers: int, pin: bool) -> DataLoader:
    """Makes a loader over a whole split, in the split's order."""
    return _loader(dataset, dataset.collater, workers, pin, batch_size=batch_size)


def loader_of_rows(loader: DataLoader, rows: Sequence[int]) -> DataLoader:
    """Makes an evaluation loader like `loader` over the items with these indices, in the order of `rows`."""
    chosen = Subset(loader.dataset, rows)
    return _loader(chosen, loader.collate_fn, loader.num_workers, loader.pin_memory, batch_size=loader.batch_size)


def share_of_loader(loader: DataLoader) -> DataLoader:
    """Makes an evaluation loader over this process's share of the dataset; returns `loader` itself in a single process.

    `distributed.gather_in_order` merges what the processes computed for their shares.
    """
    if get_world_size() == 1:
        return loader
    return loader_of_rows(loader, own_share(range(len(cast(Sized, loader.dataset)))))


def _leave_signals_to_the_parent(worker: int) -> None:
    ignore_signals()


def _as_collated(batch: Any) -> Any:
    """Replaces torch's conversion of a batch, which would make lists of its tuples."""
    return batch


def _loader(items: Dataset, collate: Callable, workers: int, pin: bool, **batching: Any) -> DataLoader:
    if workers:  # tokenizers would warn that its threads do not survive the fork
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return DataLoader(
        items,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=collate,
        worker_init_fn=_leave_signals_to_the_parent,
        # Each iterator draws a number. A separate generator keeps this from changing the model's dropout.
        generator=torch.Generator(),
        **batching,
    )
