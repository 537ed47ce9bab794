"""L_ITM, image-text matching (METHOD 3): does this text belong to this image?

    L_ITM = CE( W pooled_CLS(text, image), match )

With probability 1/2 a text is replaced by the most similar text of another product in the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def hardest_text(similarity: Tensor, product_id: Tensor) -> tuple[Tensor, Tensor]:
    """Most similar text of another product, for each image.

    Args:
        similarity: (B, B), image by text.
        product_id: (B,); every row of the same product is excluded, not only the image's own (METHOD 7).

    Returns:
        index (B,) of the text, and found (B,), False where the batch holds no other product.
    """
    same = product_id[:, None] == product_id[None, :]
    return similarity.masked_fill(same, float("-inf")).argmax(1), ~same.all(1)


def match_logits(model, image_tokens: Tensor, text) -> Tensor:
    """Pairs of pooled image tokens (B, N, D) and texts -> logits (B, 2): no match, match."""
    joint = model.fusion_encoder.encode_joint(text, image_tokens)
    return model.itm_head(model.fusion_encoder.pooler(joint)).float()


def itm_loss(model, image_tokens: Tensor, text, match: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of pooled image tokens (B, N, D) and texts, match (B,) in {0, 1} -> loss and logits (B, 2)."""
    logits = match_logits(model, image_tokens, text)
    return F.cross_entropy(logits, match), logits


def itm(model, batch) -> dict[str, Tensor]:
    """Returns loss_itm and acc_itm, the share of pairs judged rightly."""
    with torch.no_grad(), model.without_dropout():
        similarity = model.image_embedding(batch.image_tokens) @ model.text_embedding(batch.text).T
    hardest, found = hardest_text(similarity.float(), batch.product_id)
    coin = torch.from_numpy(batch.rng.random(len(hardest)) < 0.5).to(found.device)
    replaced = coin & found
    own = torch.arange(len(hardest), device=hardest.device)
    rows = torch.where(replaced, hardest, own)
    match = (~replaced).long()
    tokens = model.image_encoder.pool_tokens(batch.image_tokens)
    loss, logits = itm_loss(model, tokens, batch.text.rows(rows), match)
    return {"loss_itm": loss, "acc_itm": (logits.argmax(1) == match).float().mean()}
