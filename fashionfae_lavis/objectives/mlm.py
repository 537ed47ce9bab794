"""L_MLM (masked language modelling), FashionFAE, arXiv 2412.19997: masked words of the description, given the image.

    L_MLM = mean over the labelled positions of the description of  CE( vocabulary logits, word piece )

`masking/word_masks.py` chooses which words are masked.

>>> import torch
>>> logits, targets = 4 * torch.eye(3), torch.tensor([0, 1, 0])
>>> is_prompt = torch.tensor([False, False, True])
>>> round(mlm_loss(logits, targets, is_prompt).item(), 4)
0.036
"""

import torch.nn.functional as F
from torch import Tensor


def mlm_loss(logits: Tensor, targets: Tensor, is_prompt: Tensor) -> Tensor:
    """Computes L_MLM; 0 where no position of the description is labelled.

    Args:
        logits: (P, V) of the P labelled positions.
        targets: word pieces (P,).
        is_prompt: boolean (P,), False in the description.
    """
    chosen = ~is_prompt
    return mean_cross_entropy(logits[chosen], targets[chosen])


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Computes the mean cross-entropy of logits (P, V) and targets (P,).

    With P = 0 the result is a zero that keeps the graph, so that every rank still takes part in the backward pass.
    """
    if not len(targets):
        return logits.sum()
    return F.cross_entropy(logits.float(), targets)
