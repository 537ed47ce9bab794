"""Global embeddings of any of LAVIS's models that has `extract_features`, ours or not."""

import torch
import torch.nn.functional as F
from lavis.models.clip_models.model import CLIP
from torch import Tensor


@torch.no_grad()
def global_embeddings(model, image: Tensor | None = None, text_input: list[str] | None = None) -> Tensor:
    """Unit-length global embeddings (B, D) of images (B, 3, S, S), or of B texts.

    FashionFAE, BLIP and ALBEF give states projected and of unit length, the first of which ([CLS]) is the global one;
    CLIP, asked for one modality, gives the bare embedding.
    """
    if image is not None:
        image = image.to(model.device)
    samples = {"image": image, "text_input": text_input}  # ALBEF's looks both up
    if isinstance(model, CLIP):
        return F.normalize(model.extract_features(samples).float(), dim=-1)
    if image is not None:
        return model.extract_features(samples, mode="image").image_embeds_proj[:, 0].float()
    return model.extract_features(samples, mode="text").text_embeds_proj[:, 0].float()
