"""Image-text matching by FashionFAE, BLIP and ALBEF: what re-ranking asks of a model with an ITM head."""

import torch
from lavis.models.albef_models import AlbefBase
from lavis.models.blip_models.blip import BlipBase
from torch import Tensor

from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.features import bert_of, word_pieces_of
from fashionfae_lavis.text.word_pieces import Text


def has_matching(model) -> bool:
    """Whether the model has an ITM head that can be asked here."""
    return isinstance(model, FashionFAE) or (isinstance(model, (BlipBase, AlbefBase)) and hasattr(model, "itm_head"))


def matching_tokens(model, images: Tensor) -> Tensor:
    """Images (B, 3, S, S) -> what a text is matched with (B, N, D)."""
    images = images.to(model.device)
    if isinstance(model, FashionFAE):
        return model.fusion_tokens(images)
    return model.visual_encoder.forward_features(images)


def matching_texts(model, texts: list[str]) -> Text:
    """Texts as the model's ITM reads them, padded to the longest."""
    if isinstance(model, FashionFAE):
        return model.tokenize(texts)
    text = word_pieces_of(model, texts)
    if isinstance(model, BlipBase):
        text.input_ids[:, 0] = model.tokenizer.enc_token_id
    return Text(text.input_ids, text.attention_mask)


def matching_scores(model, tokens: Tensor, text: Text, similarity: Tensor) -> Tensor:
    """Scores (P,) of P pairs of image tokens (P, N, D) and texts, of which the global embeddings have this similarity.

    FashionFAE: log-odds of a match plus ITC's logit, scale^2 times the similarity, so that what ITC knows is not thrown
    away. BLIP and ALBEF, as LAVIS re-ranks with them: the logit of a match plus the similarity.
    """
    if isinstance(model, FashionFAE):
        logits = model.match_logits(tokens, text)
        return logits[:, 1] - logits[:, 0] + model.scale**2 * similarity
    states = bert_of(model)(
        text.input_ids,
        attention_mask=text.mask,
        encoder_hidden_states=tokens,
        encoder_attention_mask=torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device),
        return_dict=True,
    )
    return model.itm_head(states.last_hidden_state[:, 0])[:, 1].float() + similarity
