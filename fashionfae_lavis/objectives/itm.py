"""L_ITM (image-text matching), FashionFAE, arXiv 2412.19997: does this text belong to this image?

    L_ITM = CE( W pooled_CLS(text, image), match )

With probability 1/2, a text is replaced by its image's hard negative: the most similar text of another product in the
batch that does not equal the image's own.

>>> import torch
>>> logits = torch.tensor([[0.0, 2.0], [2.0, 0.0], [1.0, 0.0]])  # no match, match
>>> output = itm_loss(logits, match=torch.tensor([1, 0, 1]))
>>> round(output.loss.item(), 4), round(output.accuracy.item(), 4)
(0.5224, 0.6667)
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class ITMOutput(NamedTuple):
    """The loss, and the share of pairs that are classified correctly."""

    loss: Tensor
    accuracy: Tensor


class Pairs(NamedTuple):
    """Pairing of each of B images with a text.

    Attributes:
        text: (B,), the index of the text.
        match: (B,), 1 for the image's own text and 0 for a hard negative.
    """

    text: Tensor
    match: Tensor


def hardest_text(similarity: Tensor, product_id: Tensor, text_id: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Finds the most similar text of another product for each image.

    Args:
        similarity: (B, B), image by text.
        product_id: (B,). All texts of the image's product are excluded, not only its own row.
        text_id: (B,), equal for equal texts. Texts that equal the image's own are excluded, too.

    Returns:
        The index (B,) of the text, and a boolean (B,) that is False where the batch holds no other product.
    """
    same = product_id[:, None] == product_id[None, :]
    if text_id is not None:
        same |= text_id[:, None] == text_id[None, :]
    return similarity.masked_fill(same, float("-inf")).argmax(1), ~same.all(1)


def draw_pairs(
    similarity: Tensor, product_id: Tensor, rng: np.random.Generator, text_id: Tensor | None = None
) -> Pairs:
    """Pairs each image with its own text or, with probability 1/2, with its hard negative.

    An image without another product's text in its batch keeps its own.

    Args:
        similarity: (B, B), image by text.
        product_id: (B,).
        rng: generator of the B coin flips.
        text_id: (B,), equal for equal texts, which are no negatives of each other.
    """
    hardest, found = hardest_text(similarity, product_id, text_id)
    coin = torch.from_numpy(rng.random(len(hardest)) < 0.5).to(found.device)
    replaced = coin & found
    own = torch.arange(len(hardest), device=hardest.device)
    return Pairs(torch.where(replaced, hardest, own), (~replaced).long())


def itm_loss(logits: Tensor, match: Tensor) -> ITMOutput:
    """Computes L_ITM.

    Args:
        logits: (B, 2), no match and match of B pairs.
        match: (B,), 1 where the text belongs to the image, else 0.
    """
    return ITMOutput(F.cross_entropy(logits, match), (logits.argmax(1) == match).float().mean())
