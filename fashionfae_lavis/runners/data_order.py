"""Which sample comes when: the same for a seed whatever the number of workers, and resumable at any batch."""

from collections.abc import Iterator

import torch
from lavis.common.dist_utils import get_world_size
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler, Subset

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.distributed import own_share
from fashionfae_lavis.runners.random_state import seeded


class EndlessBatches(Sampler):
    """Batches of ``(epoch, index)`` pairs of one process, without end.

    Each epoch is a new permutation drawn from ``(seed, epoch)`` and shared out between the processes; what
    does not fill a batch on every process is dropped. Setting ``first`` starts the iteration at that batch
    (counted from the start of training) without visiting the ones before it.

    Raises:
        UserError: fewer samples than one batch of all processes together, or only one sample in such a batch.
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        together = f"run.batch_size_train: {batch_size} on {world_size} process(es)"
        if batch_size * world_size < 2:
            raise UserError(f"{together} makes batches of one product, but training contrasts at least two.")
        if length < batch_size * world_size:
            raise UserError(f"{together} takes more than the {length} training samples: make it smaller.")
        self.batch_size = batch_size
        self.batches_per_epoch = length // world_size // batch_size
        self.first = 0
        self._sampler = DistributedSampler(range(length), world_size, rank, shuffle=True, seed=seed, drop_last=True)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, skipped = divmod(self.first, self.batches_per_epoch)
        while True:
            self._sampler.set_epoch(epoch)
            indices = list(self._sampler)
            for batch in range(skipped, self.batches_per_epoch):
                start = batch * self.batch_size
                yield [(epoch, index) for index in indices[start : start + self.batch_size]]
            epoch, skipped = epoch + 1, 0


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


def training_loader(dataset: Dataset, batches: EndlessBatches, seed: int, workers: int, pin: bool) -> DataLoader:
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
