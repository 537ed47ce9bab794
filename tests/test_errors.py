import pytest
from torch.utils.data import DataLoader

from fashionfae_lavis.errors import UserError


class Broken:
    """A dataset whose items cannot be read."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        try:
            return {}[index]
        except KeyError as error:
            raise UserError(f"item {index} is broken: mend it.") from error


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_stays_one_sentence_in_a_worker_process(workers):
    with pytest.raises(UserError, match=r"^item 0 is broken: mend it\.$"):
        next(iter(DataLoader(Broken(), num_workers=workers)))
