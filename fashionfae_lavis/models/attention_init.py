"""Initial attention weights for training from scratch, after mimetic initialisation (arXiv 2305.09828).

Trained transformers have query^T key close to a positive, output value close to a negative multiple of the identity.
Started so, a place attends to places that resemble it, its neighbours among them, and the words of a text are copied
and the patches of a picture compared after some hundred updates instead of thousands.
"""

import torch
from torch import Tensor


@torch.no_grad()
def mimetic_attention_(query: Tensor, key: Tensor, value: Tensor, output: Tensor) -> None:
    """Draw the weights (D, D) of one self-attention layer in place: key = query, output = -value^T.

    The products are then the wanted multiples of the identity on average, with noise around them; the paper gets there
    by factorising such matrices, which takes longer and trains alike.
    """
    width = len(query)
    query.normal_(0, 0.9 * width**-0.5)
    key.copy_(query)
    value.normal_(0, (0.4 / width) ** 0.5)
    output.copy_(-value.T)
