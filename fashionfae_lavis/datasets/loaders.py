"""Loaders of training and evaluation data.

Every dataset collates its items in a method `collater`, as LAVIS's `BaseDataset` does.
"""

import os
from collections.abc import Callable, Sequence, Sized
from typing import Any, cast

import torch
from lavis.common.dist_utils import get_world_size
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from fashionfae_lavis.datasets.protocols import Split
from fashionfae_lavis.distributed import own_share
from fashionfae_lavis.interruption import ignore_signals
from fashionfae_lavis.random_state import seeded


class SeededDataset(Dataset):
    """Dataset that makes random processors reproducible by reading each item `(epoch, index)` under a separate seed."""

    def __init__(self, dataset: Split, seed: int):
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        with seeded(self.seed, epoch, index):
            return self.dataset[index]


def training_loader(dataset: Split, batches: Sampler, seed: int, workers: int, pin: bool) -> DataLoader:
    """Makes an endless loader in the order of `batches`. Its workers live as long as its only iterator."""
    return _loader(SeededDataset(dataset, seed), dataset.collater, workers, pin, batch_sampler=batches)


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
