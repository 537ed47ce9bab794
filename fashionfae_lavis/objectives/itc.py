"""L_ITC (image-text contrastive), FashionFAE, arXiv 2412.19997: which text belongs to which image?

    logits_ij = <image_i, text_j>
    L_ITC     = 1/2 [ CE(logits, i) + CE(logits^T, i) ]

The loss is over the whole batch of all ranks. The model's embeddings have the length of its learned scale, so a logit
is scale^2 * cosine. A second view of the products adds a second term with the same texts.

>>> import torch
>>> image, text = 2 * torch.eye(3), 2 * torch.eye(3)
>>> output = itc_loss(image, text)
>>> round(output.loss.item(), 4), output.accuracy.item()
(0.036, 1.0)
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from lavis.common.dist_utils import get_rank, get_world_size
from lavis.models.base_model import all_gather_with_grad
from torch import Tensor

from fashionfae_lavis.objectives.gradient_cache import in_chunks

LOGITS = 2**24  # in memory at a time; the loss of more is computed by blocks of rows


class ITCOutput(NamedTuple):
    """The loss, and the share of this rank's images whose own text scores highest on this rank."""

    loss: Tensor
    accuracy: Tensor


def one_way_loss(a: Tensor, b: Tensor) -> Tensor:
    """Computes the cross-entropy of each row of `a` against the rows of `b` on all ranks.

    Every rank scores its own rows against the rows of all ranks. The mean over ranks, which DDP takes of the
    gradients, is then the loss of the whole batch. No rank builds the full matrix of logits, nor more than `LOGITS` of
    its own rows' at a time.

    Args:
        a: embeddings (B, D).
        b: embeddings (B, D); row i belongs to row i of `a`.
    """
    all_b = all_gather_with_grad(b) if get_world_size() > 1 else b
    target = torch.arange(len(a), device=a.device) + get_rank() * len(a)

    def row_losses(rows: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy((rows @ all_b.T).float(), target, reduction="none")

    return in_chunks(row_losses, _tile(len(all_b)), a, target).mean()


def contrastive_loss(a: Tensor, b: Tensor) -> Tensor:
    """Computes the symmetric cross-entropy of paired embeddings (B, D): the mean of `one_way_loss` both ways."""
    return (one_way_loss(a, b) + one_way_loss(b, a)) / 2


def itc_loss(image: Tensor, text: Tensor, second_view: Tensor | None = None) -> ITCOutput:
    """Computes L_ITC.

    Args:
        image: embeddings (B, D).
        text: embeddings (B, D); row i belongs to image i.
        second_view: embeddings (B, D) of another image of each product.
    """
    loss = contrastive_loss(image, text)
    if second_view is not None:
        loss = loss + contrastive_loss(second_view, text)
    with torch.no_grad():
        tile = _tile(len(text))
        best = torch.cat([(image[i : i + tile] @ text.T).argmax(1) for i in range(0, len(image), tile)])
        hits = best == torch.arange(len(image), device=image.device)
    return ITCOutput(loss, hits.float().mean())


def _tile(columns: int) -> int:
    """Returns the number of rows of logits in a block."""
    return max(1, LOGITS // columns)
