"""L_MLM and L_AETP together (text prediction), FashionFAE, arXiv 2412.19997: one masked text, one joint pass.

    L = sum of the cross-entropies at all P labelled positions / P + L_ITC( joint mean, clean mean )

The second term is the global consistency of the masked text, read with the image, and the clean text alone.

>>> import torch
>>> logits, targets, is_prompt = 4 * torch.eye(2), torch.tensor([0, 0]), torch.tensor([False, True])
>>> output = text_prediction_loss(logits, targets, is_prompt, joint=4 * torch.eye(2), clean=4 * torch.eye(2))
>>> round(output.loss.item(), 4), output.acc_mlm.item(), output.acc_aetp.item()
(2.0181, 1.0, 0.0)
"""

from typing import NamedTuple

from torch import Tensor

from fashionfae_lavis.objectives.aetp import aetp_loss
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.objectives.mlm import mlm_loss


class TextPredictionOutput(NamedTuple):
    """The total loss, its parts, and the shares of word pieces predicted correctly in description and prompts."""

    loss: Tensor
    loss_mlm: Tensor
    loss_aetp: Tensor
    loss_text_consistency: Tensor
    acc_mlm: Tensor
    acc_aetp: Tensor


def text_prediction_loss(
    logits: Tensor, targets: Tensor, is_prompt: Tensor, joint: Tensor, clean: Tensor
) -> TextPredictionOutput:
    """Computes the loss of B masked texts.

    Args:
        logits: (P, V) of the P labelled positions.
        targets: word pieces (P,).
        is_prompt: boolean (P,), True in the prompts (AETP), False in the description (MLM).
        joint: embeddings (B, D) of the masked texts, read with their images.
        clean: embeddings (B, D) of the clean texts alone.
    """
    loss_mlm, loss_aetp = mlm_loss(logits, targets, is_prompt), aetp_loss(logits, targets, is_prompt)
    share = is_prompt.float().mean() if len(is_prompt) else 0.0
    consistency = contrastive_loss(joint, clean)
    correct = logits.argmax(1) == targets
    return TextPredictionOutput(
        loss=(1 - share) * loss_mlm + share * loss_aetp + consistency,
        loss_mlm=loss_mlm,
        loss_aetp=loss_aetp,
        loss_text_consistency=consistency,
        acc_mlm=correct[~is_prompt].sum() / (~is_prompt).sum().clamp_min(1),
        acc_aetp=correct[is_prompt].sum() / is_prompt.sum().clamp_min(1),
    )
