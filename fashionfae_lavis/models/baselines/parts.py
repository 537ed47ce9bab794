"""Encoders of LAVIS's models at any size, with the initial weights that ours have for training from scratch."""

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from transformers import BertConfig

from fashionfae_lavis.models.attention_init import mimetic_attention_
from fashionfae_lavis.models.image_encoder import ImageEncoder


class PatchEncoder(ImageEncoder):
    """FashionFAE's image encoder with what LAVIS's models ask of theirs; so the compared ones see alike."""

    @property
    def vision_width(self) -> int:
        return self.embed_dim

    def forward_features(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) -> all tokens (B, 1 + grid^2, width), CLS first."""
        return self(images)


def build_image_encoder(cfg: DictConfig) -> PatchEncoder:
    """The image encoder of `model.image_encoder`, whose keys are FashionFAE's."""
    return PatchEncoder(image_size=cfg.image_size, **cfg.image_encoder)


def build_bert(bert_class, cfg: DictConfig, vocab_size: int, **kwargs):
    """One of LAVIS's BERTs with cross-attention to the image, in the size of `model.text_encoder` (BertConfig's keys).

    ALBEF's `fusion_layer`, the first layer that sees the image, is one of these keys.
    """
    config = BertConfig(
        vocab_size=vocab_size,
        encoder_width=cfg.image_encoder.width,
        add_cross_attention=True,
        add_type_embeddings=False,
        **OmegaConf.to_container(cfg.text_encoder),
    )
    bert = bert_class(config, **kwargs)
    model = getattr(bert, "bert", bert)
    for layer in model.encoder.layer:
        attention, output = layer.attention.self, layer.attention.output.dense
        mimetic_attention_(*(part.weight for part in (attention.query, attention.key, attention.value, output)))
    sine_positions_(model.embeddings.position_embeddings.weight, config.initializer_range)
    return bert


@torch.no_grad()
def sine_positions_(table: nn.Parameter, size: float) -> None:
    """Positions (L, D) as sines and cosines of that root mean square, in place, as FashionFAE's start."""
    frequencies = 10_000.0 ** -torch.linspace(0, 1, table.shape[1] // 2)
    angles = torch.arange(len(table))[:, None] * frequencies
    table.copy_(2**0.5 * size * torch.cat((angles.sin(), angles.cos()), 1))
