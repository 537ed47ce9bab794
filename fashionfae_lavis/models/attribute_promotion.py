"""The attribute-promotion MLP of FashionFAE (arXiv 2412.19997): the token that fills masked patches.

    a = LayerNorm( W2 GELU( W1 [t ; v] ) + t + v )

t is the [CLS] state of the clean text after the fusion encoder's lower layers, v the projected [CLS] of the image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttributePromotion(nn.Module):
    """MLP that turns the text and image [CLS] into the attribute-promoted token.

    Args:
        width: width of both inputs and of the token (768 in the paper, with 3072 hidden units).
    """

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(2 * width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, t: Tensor, v: Tensor) -> Tensor:
        """Maps text [CLS] t (B, D) and image [CLS] v (B, D) to the promoted token a (B, D)."""
        return self.layer_norm(self.fc2(F.gelu(self.fc1(torch.cat((t, v), dim=1)))) + t + v)
