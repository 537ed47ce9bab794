"""L_APIR (attribute-promoted image reconstruction), FashionFAE, arXiv 2412.19997: visual codes of masked patches.

    L_APIR = mean over the masked patches of CE( code logits, code ) + L_ITC( clean mean, reconstructed mean )

The second term is the global consistency of the clean image and its reconstruction. The masked patches are filled with
the attribute-promoted token of `models/attribute_promotion.py` before the network reconstructs them.

>>> import torch
>>> logits, codes = 4 * torch.eye(3), torch.tensor([0, 1, 0])
>>> output = apir_loss(logits, codes, clean=4 * torch.eye(2), reconstructed=4 * torch.eye(2))
>>> round(output.loss.item(), 4), round(output.acc_apir.item(), 4)
(1.3693, 0.6667)
"""

from typing import NamedTuple

from torch import Tensor

from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.objectives.mlm import mean_cross_entropy


class APIROutput(NamedTuple):
    """The total loss, its two terms, and the share of masked patches whose code is predicted correctly."""

    loss: Tensor
    loss_apir: Tensor
    loss_image_consistency: Tensor
    acc_apir: Tensor


def apir_loss(logits: Tensor, codes: Tensor, clean: Tensor, reconstructed: Tensor) -> APIROutput:
    """Computes L_APIR.

    Args:
        logits: (P, V) for the P masked patches and the V codes of the image tokenizer.
        codes: (P,), the image tokenizer's code of each masked patch.
        clean: embeddings (B, D) of the clean images.
        reconstructed: embeddings (B, D) of the reconstructed images.
    """
    loss_codes = mean_cross_entropy(logits, codes)
    consistency = contrastive_loss(clean, reconstructed)
    return APIROutput(
        loss=loss_codes + consistency,
        loss_apir=loss_codes,
        loss_image_consistency=consistency,
        acc_apir=(logits.argmax(1) == codes).float().mean(),
    )
