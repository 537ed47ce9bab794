"""Which sample comes when: the same for a seed whatever the number of workers, and resumable at any batch."""

from collections.abc import Iterator

from torch.utils.data import DistributedSampler, Sampler

from fashionfae_lavis.errors import UserError


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
