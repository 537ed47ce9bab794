"""Loaders of training and evaluation data."""

import torch
from lavis.common.dist_utils import get_world_size
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from fashionfae_lavis.distributed import own_share
from fashionfae_lavis.random_state import seeded


class SeededDataset(Dataset):
    """Make random processors reproducible: item ``(epoch, index)`` is drawn under a seed of its own."""

    def __init__(self, dataset: Dataset, seed: int):
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: tuple[int, int]):
        epoch, index = place
        with seeded(self.seed, epoch, index):
            return self.dataset[index]


def training_loader(dataset: Dataset, batches: Sampler, seed: int, workers: int, pin: bool) -> DataLoader:
    """Endless loader in the order of ``batches``; its workers live as long as its one iterator."""
    return _loader(SeededDataset(dataset, seed), dataset, workers, pin, batch_sampler=batches)


def evaluation_loader(dataset: Dataset, batch_size: int, workers: int, pin: bool) -> DataLoader:
    """Loader over the whole data set, in its own order."""
    return _loader(dataset, dataset, workers, pin, batch_size=batch_size)


def share_of_loader(loader: DataLoader) -> DataLoader:
    """An evaluation loader over this process's share of its data set alone; itself in a run of one process.

    Put what was computed for the shares together with `distributed.gather_in_order`.
    """
    if get_world_size() == 1:
        return loader
    share = Subset(loader.dataset, own_share(range(len(loader.dataset))))
    return _loader(share, loader.dataset, loader.num_workers, loader.pin_memory, batch_size=loader.batch_size)


def _loader(items: Dataset, dataset: Dataset, workers: int, pin: bool, **batching) -> DataLoader:
    return DataLoader(
        items,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=getattr(dataset, "collater", None),
        # a loader draws a number at each start; one from its own generator leaves the model's dropout alone
        generator=torch.Generator(),
        **batching,
    )
