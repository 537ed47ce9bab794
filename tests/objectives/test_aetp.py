import torch
from torch.nn.functional import cross_entropy

from fashionfae_lavis.objectives.aetp import aetp_loss


def test_the_loss_is_the_mean_over_the_prompts():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    loss = aetp_loss(logits, torch.tensor([0, 1, 1]), torch.tensor([False, True, True]))
    torch.testing.assert_close(loss, cross_entropy(logits[1:], torch.tensor([1, 1])))


def test_without_a_label_in_the_prompts_the_loss_is_a_zero_that_keeps_the_graph():
    logits = torch.randn(3, 5, requires_grad=True)
    loss = aetp_loss(logits, torch.tensor([0, 1, 2]), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()
