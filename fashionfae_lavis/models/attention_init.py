"""Initial attention weights for training from scratch, after mimetic initialisation (arXiv 2305.09828).

In trained transformers, query^T key is close to a positive multiple of the identity, and output value close to a
negative one. With such initial weights a position attends to positions that resemble it, such as its neighbours. The
model then learns to copy words and compare patches after hundreds of updates instead of thousands.
"""

import torch
from torch import Tensor


@torch.no_grad()
def mimetic_attention_(query: Tensor, key: Tensor, value: Tensor, output: Tensor) -> None:
    """Draws the weights (D, D) of one self-attention layer in place: key = query, output = -value^T.

    On average, query^T key and output value are then multiples of the identity. The paper factorises such matrices
    instead, which takes longer and trains equally well.
    """
    width = len(query)
    query.normal_(0, 0.9 * width**-0.5)
    key.copy_(query)
    value.normal_(0, (0.4 / width) ** 0.5)
    output.copy_(-value.T)
