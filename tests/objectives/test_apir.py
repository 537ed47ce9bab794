import torch
from torch.nn.functional import cross_entropy

from fashionfae_lavis.objectives.apir import apir_loss
from fashionfae_lavis.objectives.itc import contrastive_loss


def test_the_loss_is_cross_entropy_of_masked_codes_plus_consistency():
    torch.manual_seed(0)
    logits, codes, (clean, reconstructed) = torch.randn(6, 16), torch.arange(6), torch.randn(2, 3, 4)
    output = apir_loss(logits, codes, clean, reconstructed)
    torch.testing.assert_close(output.loss_apir, cross_entropy(logits, codes))
    torch.testing.assert_close(output.loss_image_consistency, contrastive_loss(clean, reconstructed))
    torch.testing.assert_close(output.loss, output.loss_apir + output.loss_image_consistency)


def test_accuracy_is_the_share_of_codes_predicted_correctly():
    embedding = torch.eye(2)
    output = apir_loss(torch.eye(4)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 3]), embedding, embedding)
    assert output.acc_apir == 0.75
