"""Adapter of LAVIS's CLIP."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fashionfae_lavis.models.adapters.base import Adapter
from fashionfae_lavis.models.baselines.clip import set_loss
from fashionfae_lavis.models.inputs import as_images
from fashionfae_lavis.text.word_pieces import as_texts


class ClipAdapter(Adapter):
    """Adapter of CLIP, whose features of a single modality are plain tensors, not normalised."""

    def prepare_training(self) -> None:
        set_loss(self.model)

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        side = getattr(getattr(self.model.visual, "encoder", None), "image_size", None)  # of this package's encoder
        return F.normalize(
            self.model.extract_features({"image": as_images(images, side=side).to(self.device)}).float(), dim=-1
        )

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        return F.normalize(self.model.extract_features({"text_input": as_texts(texts)}).float(), dim=-1)
