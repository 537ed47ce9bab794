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


def test_a_message_is_one_line_of_limited_length():
    assert str(UserError("a\nb\r\nc: mend it.")) == "a b c: mend it."
    message = str(UserError(f"{'x' * 100_000} is unknown: use y."))
    assert len(message) < 1010 and message.endswith("xx is unknown: use y.")
