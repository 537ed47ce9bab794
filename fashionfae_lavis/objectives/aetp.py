"""L_AETP (attribute-emphasized text prediction), FashionFAE, arXiv 2412.19997: masked attribute words, given the image.

    L_AETP = mean over the labelled positions of the prompts of  CE( vocabulary logits, word piece )

The prompts read `the image <name> is <value>`. `masking/word_masks.py` chooses which of their words are masked.

>>> import torch
>>> logits, targets = 4 * torch.eye(3), torch.tensor([0, 1, 0])
>>> is_prompt = torch.tensor([False, False, True])
>>> round(aetp_loss(logits, targets, is_prompt).item(), 4)
4.036
"""

from torch import Tensor

from fashionfae_lavis.objectives.mlm import mean_cross_entropy


def aetp_loss(logits: Tensor, targets: Tensor, is_prompt: Tensor) -> Tensor:
    """Computes L_AETP; 0 where no position of a prompt is labelled.

    Args:
        logits: (P, V) of the P labelled positions.
        targets: word pieces (P,).
        is_prompt: boolean (P,), True in the prompts.
    """
    return mean_cross_entropy(logits[is_prompt], targets[is_prompt])
