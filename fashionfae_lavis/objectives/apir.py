"""L_APIR, attribute-promoted image reconstruction (METHOD 3): codes of masked patches from the text's attributes.

    a      = LayerNorm( W2 GELU( W1 [t ; v] ) + t + v )         t: layer-4 [CLS] of the text, v: projected ViT CLS
    L_APIR = mean over masked patches of CE( code logits, code ) + L_ITC( clean image mean, reconstructed mean )

The masked places of the pooled image tokens, and the CLS place, are filled with the attribute-promoted token a.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fashionfae_lavis.masking.patch_masks import batch_block_masks
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.objectives.mlm import mean_cross_entropy


class AttributePromotion(nn.Module):
    """The attribute-promotion MLP: text [CLS] t and image CLS v (B, D) -> promoted token a (B, D)."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(2 * width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, t: Tensor, v: Tensor) -> Tensor:
        return self.layer_norm(self.fc2(F.gelu(self.fc1(torch.cat((t, v), dim=1)))) + t + v)


def reconstruct(model, image_tokens: Tensor, text, patch_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Fill masked patches with the promoted token and run the upper layers.

    Args:
        image_tokens: pooled (B, 1 + P, D); text: B texts; patch_mask: bool (B, P), True = masked.

    Returns:
        patch states (B, P, D) and the promoted token a (B, D).
    """
    bert = model.fusion_encoder
    low = bert.encode_text(text, layers=bert.split)
    visual_cls = bert.visual_embeddings.projection(image_tokens[:, 0])
    promoted = model.promotion(low[:, 0], visual_cls)
    filled_places = F.pad(patch_mask, (1, 0), value=True)
    filled = torch.where(filled_places.unsqueeze(-1), promoted.unsqueeze(1).to(image_tokens.dtype), image_tokens)
    joint = bert.encode_upper(low, text.mask, filled)
    return joint[:, -patch_mask.shape[1] :], promoted


def apir_loss(model, image_tokens: Tensor, text, codes: Tensor, patch_mask: Tensor) -> dict[str, Tensor]:
    """codes (B, P) are the image tokenizer's; other arguments as in `reconstruct`.

    Returns:
        loss (the sum above), loss_apir (its cross-entropy), loss_image_consistency, acc_apir.
    """
    states, _ = reconstruct(model, image_tokens, text, patch_mask)
    logits, targets = model.apir_head(states[patch_mask]), codes[patch_mask]
    loss_codes = mean_cross_entropy(logits, targets)
    # The mean of projected tokens is the projected mean: one row to project instead of all.
    clean = model.fusion_encoder.visual_embeddings.projection(image_tokens.mean(1))
    consistency = contrastive_loss(model.scaled(clean), model.scaled(states.mean(1)))
    return {
        "loss": loss_codes + consistency,
        "loss_apir": loss_codes,
        "loss_image_consistency": consistency,
        "acc_apir": (logits.argmax(1) == targets).float().mean(),
    }


def apir(model, batch) -> dict[str, Tensor]:
    """One APIR step on a batch with freshly drawn patch masks; see apir_loss."""
    tokens = model.image_encoder.pool_tokens(batch.image_tokens)
    grid = model.image_encoder.grid // model.image_encoder.pool
    masks = batch_block_masks(batch.rng, len(tokens), grid, model.masked_patches)
    patch_mask = torch.from_numpy(masks).to(tokens.device)
    codes = model.image_tokenizer.encode(batch.images)
    return apir_loss(model, tokens, batch.text, codes, patch_mask)
