"""Global embeddings of ours and of LAVIS's models: one function embeds with all of them."""

import torch
import torch.nn.functional as F
from lavis.models.clip_models.model import CLIP
from torch import Tensor


@torch.no_grad()
def global_embeddings(model, image: Tensor | None = None, text_input: list[str] | None = None) -> Tensor:
    """Unit-length global embeddings (B, D) of images (B, 3, S, S), or of B texts.

    FashionFAE and the feature extractors of BLIP and ALBEF give states projected and of unit length, the first of
    which ([CLS]) is the global one; CLIP, asked for one modality, gives the bare embedding. Of BLIP's and ALBEF's
    models of retrieval and pre-training, which have no such method, it is put together from their parts.
    """
    if image is not None:
        image = image.to(model.device)
    samples = {"image": image, "text_input": text_input}  # ALBEF's looks both up
    if isinstance(model, CLIP):
        return F.normalize(model.extract_features(samples).float(), dim=-1)
    if not hasattr(model, "extract_features"):
        return F.normalize(_projected(model, image, text_input).float(), dim=-1)
    if image is not None:
        return model.extract_features(samples, mode="image").image_embeds_proj[:, 0].float()
    return model.extract_features(samples, mode="text").text_embeds_proj[:, 0].float()


def has_embeddings(model) -> bool:
    """Whether `global_embeddings` can be asked of this model."""
    return hasattr(model, "extract_features") or (hasattr(model, "vision_proj") and hasattr(model, "text_proj"))


def bert_of(model) -> torch.nn.Module:
    """The BERT of one of LAVIS's BLIP or ALBEF models; that of ALBEF's pre-training stands below a word head."""
    return getattr(model.text_encoder, "bert", model.text_encoder)


def word_pieces_of(model, texts: list[str]):
    """Token ids and mask (B, L), cut at the text length that one of LAVIS's BLIP or ALBEF models is trained with."""
    cut = {"truncation": True, "max_length": model.max_txt_len}
    return model.tokenizer(texts, padding=True, return_tensors="pt", **cut).to(model.device)


def _projected(model, image: Tensor | None, text_input: list[str] | None) -> Tensor:
    if image is not None:
        return model.vision_proj(model.visual_encoder.forward_features(image)[:, 0])
    text = word_pieces_of(model, text_input)
    states = bert_of(model)(text.input_ids, attention_mask=text.attention_mask, return_dict=True, mode="text")
    return model.text_proj(states.last_hidden_state[:, 0])
