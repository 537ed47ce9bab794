"""L_ITC, image-text contrastive (METHOD 3): which text belongs to which image.

    L_ITC = 1/2 [ CE(logits, i) + CE(logits^T, i) ],   logits_ij = <image_i, text_j>

over the whole batch of all ranks. Embeddings are L2-normalised and carry the learned scale, so a logit is
scale^2 * cosine. A second view of the product adds a second term with the same texts.
"""

import torch
import torch.nn.functional as F
from lavis.common.dist_utils import get_rank, get_world_size
from lavis.models.base_model import all_gather_with_grad
from torch import Tensor


def one_way_loss(a: Tensor, b: Tensor) -> Tensor:
    """Cross-entropy of each row of a (B, D) against the rows of b of all ranks; row i of a belongs to row i of b.

    Every rank scores its own rows against the rows of all ranks. The mean over ranks (which DDP takes of the
    gradients) is then the loss of the whole batch, without any rank building the whole square of logits.
    """
    all_b = all_gather_with_grad(b) if get_world_size() > 1 else b
    target = torch.arange(len(a), device=a.device) + get_rank() * len(a)
    return F.cross_entropy((a @ all_b.T).float(), target)


def contrastive_loss(a: Tensor, b: Tensor) -> Tensor:
    """Symmetric cross-entropy between paired embeddings a and b (B, D): the mean of one_way_loss in both directions."""
    return (one_way_loss(a, b) + one_way_loss(b, a)) / 2


def itc_loss(model, image_tokens: Tensor, text, second_view: Tensor | None = None) -> dict[str, Tensor]:
    """All image tokens (B, N, D), B texts and, if any, second views (B, 3, S, S).

    Returns:
        loss_itc and acc_itc, the share of this rank's images whose own text scores highest on this rank.
    """
    text = model.text_embedding(text)
    image = model.image_embedding(image_tokens)
    loss = contrastive_loss(image, text)
    if second_view is not None:
        loss = loss + contrastive_loss(model.image_embedding(model.image_encoder(second_view)), text)
    with torch.no_grad():
        hits = (image @ text.T).argmax(1) == torch.arange(len(image), device=image.device)
    return {"loss_itc": loss, "acc_itc": hits.float().mean()}


def itc(model, batch) -> dict[str, Tensor]:
    """One ITC step on a batch; see itc_loss."""
    return itc_loss(model, batch.image_tokens, batch.text, batch.second_view)
