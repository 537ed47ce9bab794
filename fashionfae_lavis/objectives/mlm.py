"""L_MLM, masked language modelling (METHOD 3): masked words of the description, given the image.

L_MLM = mean over labelled places of the description of  CE( vocabulary logits, word piece )
"""

import torch.nn.functional as F
from torch import Tensor


def mlm_loss(logits: Tensor, targets: Tensor, is_prompt: Tensor) -> Tensor:
    """Cross-entropy of the labelled places (P, V), (P,) that lie in the description; 0 where there is none."""
    chosen = ~is_prompt
    return mean_cross_entropy(logits[chosen], targets[chosen])


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of (P, V), (P,); with P = 0 a zero that keeps the graph, so that all ranks still agree."""
    if not len(targets):
        return logits.sum()
    return F.cross_entropy(logits.float(), targets)
