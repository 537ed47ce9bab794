import pytest
import torch

from fashionfae_lavis.objectives import itc
from fashionfae_lavis.objectives.itc import contrastive_loss, itc_loss


def embeddings(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_contrastive_loss(a, b):
    """Computes the loss row by row, with plain exponentials."""
    total = 0.0
    for i in range(len(a)):
        row = [torch.exp(a[i] @ b[j]) for j in range(len(b))]
        column = [torch.exp(a[j] @ b[i]) for j in range(len(a))]
        total = total - torch.log(row[i] / sum(row)) - torch.log(column[i] / sum(column))
    return total / (2 * len(a))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_loss_equals_the_slow_reference(size):
    a, b = embeddings(2, size, 5)
    expected = slow_contrastive_loss(a, b)
    torch.testing.assert_close(contrastive_loss(a, b).double(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(itc_loss(a, b).loss.double(), expected, atol=1e-6, rtol=0)


def test_a_second_view_adds_a_term_with_the_same_texts():
    image, text, second = embeddings(3, 4, 5)
    expected = contrastive_loss(image, text) + contrastive_loss(second, text)
    assert itc_loss(image, text, second).loss == expected


def test_accuracy_counts_images_whose_own_text_scores_highest():
    text = torch.eye(4)
    assert itc_loss(text[[0, 1, 3, 2]], text).accuracy == 0.5
    assert itc_loss(text[[0, 1, 3, 2]], text, second_view=text).accuracy == 0.5


@pytest.mark.parametrize("logits", [1, 10, 21])
def test_blocks_of_rows_have_the_loss_and_gradients_of_the_whole(monkeypatch, logits):
    """Seven rows in blocks of one, one and three."""
    whole, blocks = (embeddings(3, 7, 5).requires_grad_() for _ in range(2))
    expected = itc_loss(*whole)
    expected.loss.backward()
    monkeypatch.setattr(itc, "LOGITS", logits)
    output = itc_loss(*blocks)
    output.loss.backward()
    assert output.accuracy == expected.accuracy
    torch.testing.assert_close(output.loss, expected.loss)
    torch.testing.assert_close(blocks.grad, whole.grad, rtol=1e-5, atol=1e-7)


def test_the_mean_over_ranks_is_the_loss_of_the_whole_batch(monkeypatch):
    """Simulates three ranks of two rows; tests/models/test_fashionfae_objectives.py runs two real ranks."""
    whole = embeddings(2, 6, 5)
    losses = []
    for rank in range(3):
        a, b = whole[:, 2 * rank : 2 * rank + 2]
        gathered = {a: whole[0], b: whole[1]}
        monkeypatch.setattr(itc, "get_world_size", lambda: 3)
        monkeypatch.setattr(itc, "get_rank", lambda rank=rank: rank)
        monkeypatch.setattr(itc, "all_gather_with_grad", lambda tensor, gathered=gathered: gathered[tensor])
        losses.append(contrastive_loss(a, b))
    monkeypatch.undo()
    torch.testing.assert_close(sum(losses) / 3, contrastive_loss(*whole))
