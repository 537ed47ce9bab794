import math

import torch

from fashionfae_lavis.objectives.mlm import mean_cross_entropy, mlm_loss


def negative_log_likelihood(row, target):
    return math.log(sum(math.exp(value) for value in row)) - row[target]


def test_the_loss_is_the_mean_over_the_description():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    loss = mlm_loss(logits, torch.tensor([0, 1, 1]), torch.tensor([False, True, False]))
    rows = logits.tolist()
    expected = (negative_log_likelihood(rows[0], 0) + negative_log_likelihood(rows[2], 1)) / 2
    assert abs(loss.item() - expected) < 1e-6


def test_without_targets_the_loss_is_a_zero_that_keeps_the_graph():
    logits = torch.randn(0, 5, requires_grad=True)
    loss = mean_cross_entropy(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None
