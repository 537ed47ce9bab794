"""Loaders of training and evaluation data.

Every dataset has a method `collater` that makes a batch of its items, as LAVIS's `BaseDataset` does.
"""

from collections.abc import Callable, Sequence, Sized
from typing import Any, cast

import torch
from lavis.common.dist_utils import get_world_size
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from fashionfae_lavis.datasets.protocols import Split
from fashionfae_lavis.distributed import own_share
from fashionfae_lavis.random_state import seeded


class SeededDataset(Dataset):
    """Makes random processors reproducible: item `(epoch, index)` is drawn under a seed of its own."""

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
    """Makes an endless loader in the order of `batches`; its workers live as long as its one iterator."""
    return _loader(SeededDataset(dataset, seed), dataset.collater, workers, pin, batch_sampler=batches)


def evaluation_loader(dataset: Any, batch_size: int, workers: int, pin: bool) -> DataLoader:
    """Makes a loader over a whole split, in its own order."""
    return _loader(dataset, dataset.collater, workers, pin, batch_size=batch_size)


def loader_of_rows(loader: DataLoader, rows: Sequence[int]) -> DataLoader:
    """Makes an evaluation loader like `loader` over these items of its dataset alone, in the order of `rows`."""
    chosen = Subset(loader.dataset, rows)
    return _loader(chosen, loader.collate_fn, loader.num_workers, loader.pin_memory, batch_size=loader.batch_size)


def share_of_loader(loader: DataLoader) -> DataLoader:
    """Makes an evaluation loader over this process's share of the dataset; returns `loader` itself in a single process.

    `distributed.gather_in_order` puts together what the processes computed for their shares.
    """
    if get_world_size() == 1:
        return loader
    return loader_of_rows(loader, own_share(range(len(cast(Sized, loader.dataset)))))


def _loader(items: Dataset, collate: Callable, workers: int, pin: bool, **batching: Any) -> DataLoader:
    return DataLoader(
        items,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=collate,
        # Each iterator draws a number; drawing it from a separate generator leaves the model's dropout alone.
        generator=torch.Generator(),
        **batching,
    )
