"""The step that L_MLM and L_AETP share: one masked text, one joint pass (METHOD 3).

    L = (sum of cross-entropies over all labelled places) / (their number) + L_ITC( joint text mean, clean text mean )

The second term is the global consistency of the masked text, seen with the image, with the clean text alone.
"""

import torch
from torch import Tensor

from fashionfae_lavis.masking.word_masks import mask_text, pad_masked
from fashionfae_lavis.objectives.aetp import aetp_loss
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.objectives.mlm import mlm_loss
from fashionfae_lavis.text.word_pieces import Text


def predict_words(model, image_tokens: Tensor, text, places: Tensor) -> tuple[Tensor, Tensor]:
    """Joint pass and vocabulary logits at the wanted places only.

    Args:
        image_tokens: pooled, (B, N, D); text: B texts of length L; places: bool (B, L).

    Returns:
        logits (P, V) at the P places in row-major order, and the joint text states (B, L, D).
    """
    states = model.fusion_encoder.encode_joint(text, image_tokens)[:, : places.shape[1]]
    return model.mlm_head(states[places], model.fusion_encoder.embeddings.word_embeddings.weight), states


def text_prediction_loss(model, image_tokens: Tensor, text, labels: Tensor, is_prompt: Tensor) -> dict[str, Tensor]:
    """The losses of B masked texts; labels (B, L) are -100 where nothing is asked, is_prompt tells AETP from MLM.

    Returns:
        loss (the sum above), loss_mlm, loss_aetp, loss_text_consistency, acc_mlm, acc_aetp.
    """
    places = labels >= 0
    logits, states = predict_words(model, image_tokens, text, places)
    targets, prompt = labels[places], is_prompt[places]
    loss_mlm, loss_aetp = mlm_loss(logits, targets, prompt), aetp_loss(logits, targets, prompt)
    share = prompt.float().mean() if len(prompt) else 0.0
    clean = text._replace(input_ids=torch.where(places, labels, text.input_ids))
    joint = model.scaled(model.fusion_encoder.masked_mean(states, text.mask))
    consistency = contrastive_loss(joint, model.text_embedding(clean))
    right = logits.argmax(1) == targets
    return {
        "loss": (1 - share) * loss_mlm + share * loss_aetp + consistency,
        "loss_mlm": loss_mlm,
        "loss_aetp": loss_aetp,
        "loss_text_consistency": consistency,
        "acc_mlm": right[~prompt].sum() / (~prompt).sum().clamp_min(1),
        "acc_aetp": right[prompt].sum() / prompt.sum().clamp_min(1),
    }


def text_prediction(model, batch, objectives) -> dict[str, Tensor]:
    """MLM, AETP or both, as named in `objectives`, on freshly masked texts; see text_prediction_loss."""
    masked = [
        mask_text(
            fields,
            model.tokenizer,
            batch.rng,
            model.max_length,
            description="mlm" in objectives,
            prompts="aetp" in objectives,
        )
        for fields in batch.fields
    ]
    input_ids, mask, labels, is_prompt = (t.to(model.device) for t in pad_masked(masked, model.tokenizer))
    tokens = model.image_encoder.pool_tokens(batch.image_tokens)
    output = text_prediction_loss(model, tokens, Text(input_ids, mask), labels, is_prompt)
    # Without its objective a part has no labelled place: its zero says nothing and is not reported.
    unused = {"mlm", "aetp"} - set(objectives)
    return {key: value for key, value in output.items() if key.split("_")[-1] not in unused}
