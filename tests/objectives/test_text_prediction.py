import torch
from torch.nn.functional import cross_entropy

from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.objectives.text_prediction import text_prediction_loss


def case(prompts):
    torch.manual_seed(0)
    logits, (joint, clean) = torch.randn(5, 7, requires_grad=True), torch.randn(2, 3, 4)
    targets = torch.tensor([0, 6, 2, 2, 1])
    return logits, targets, torch.tensor([row in prompts for row in range(5)]), joint, clean


def test_the_loss_is_cross_entropy_at_all_positions_plus_consistency():
    logits, targets, is_prompt, joint, clean = case({3, 4})
    output = text_prediction_loss(logits, targets, is_prompt, joint, clean)
    mean = cross_entropy(logits, targets)
    torch.testing.assert_close(output.loss, mean + contrastive_loss(joint, clean))
    torch.testing.assert_close(output.loss_text_consistency, contrastive_loss(joint, clean))
    torch.testing.assert_close(3 / 5 * output.loss_mlm + 2 / 5 * output.loss_aetp, mean)


def test_each_accuracy_is_the_share_of_its_own_positions():
    logits, targets, is_prompt, joint, clean = case({3, 4})
    predicted = targets.clone()
    predicted[[1, 3, 4]] = 5
    output = text_prediction_loss(torch.eye(7)[predicted], targets, is_prompt, joint, clean)
    assert abs(output.acc_mlm.item() - 2 / 3) < 1e-6 and output.acc_aetp == 0


def test_without_labels_only_the_consistency_is_left_and_the_graph_is_whole():
    logits, targets, is_prompt, joint, clean = case({})
    output = text_prediction_loss(logits[:0], targets[:0], is_prompt[:0], joint, clean)
    output.loss.backward()
    assert output.loss == output.loss_text_consistency and logits.grad is not None
