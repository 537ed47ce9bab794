"""Adapter of LAVIS's CLIP."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fashionfae_lavis.models.adapters.base import Adapter
from fashionfae_lavis.models.baselines.clip import set_loss


class ClipAdapter(Adapter):
    """Adapter of CLIP, whose features of a single modality are plain tensors, not normalised."""

    def prepare_training(self) -> None:
        set_loss(self.model)

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        return F.normalize(self.model.extract_features({"image": images.to(self.device)}).float(), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        return F.normalize(self.model.extract_features({"text_input": texts}).float(), dim=-1)
