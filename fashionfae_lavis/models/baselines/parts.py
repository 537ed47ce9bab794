"""Encoders of the baselines at any size, with FashionFAE's initial weights for training from scratch."""

from collections.abc import Callable
from typing import Any

import torch
from lavis.models.med import XBertEncoder
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers import BertConfig

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.attention_init import mimetic_attention_
from fashionfae_lavis.models.image_encoder import ImageEncoder


class PatchEncoder(ImageEncoder):
    """FashionFAE's image encoder with the interface that LAVIS's models expect."""

    @property
    def vision_width(self) -> int:
        """Width of the tokens."""
        return self.embed_dim

    def forward_features(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to all tokens (B, 1 + grid^2, width), [CLS] first."""
        return self(images)


def build_image_encoder(cfg: DictConfig) -> PatchEncoder:
    """Builds the image encoder of `model.image_encoder`, which has FashionFAE's keys."""
    return PatchEncoder(image_size=cfg.image_size, **cfg.image_encoder)


def build_text_encoder(cfg: DictConfig, vocab_size: int) -> XBertEncoder:
    """Builds LAVIS's BERT with cross-attention to the image, of the size in `model.text_encoder`."""
    bert = XBertEncoder(_bert_config(cfg, vocab_size), add_pooling_layer=False)
    _initialise(bert)
    return bert


def build_word_predictor(model_class: Callable[[BertConfig], Any], cfg: DictConfig, vocab_size: int) -> nn.Module:
    """Builds one of LAVIS's BERTs with a word head.

    Args:
        model_class: BertForMaskedLM or XBertLMHeadDecoder.
        cfg: the `model` section.
        vocab_size: number of word pieces.
    """
    model = model_class(_bert_config(cfg, vocab_size))
    _initialise(model.bert)
    return model


def _bert_config(cfg: DictConfig, vocab_size: int) -> BertConfig:
    """Returns the configuration of `model.text_encoder`, whose keys are BertConfig's and ALBEF's `fusion_layer`.

    Raises:
        UserError: `max_txt_len` has no room in the positions.
    """
    positions = cfg.text_encoder.max_position_embeddings
    if not isinstance(cfg.max_txt_len, int) or not 3 <= cfg.max_txt_len <= positions:
        raise UserError(
            f"model.max_txt_len is {cfg.max_txt_len}, but must be from 3 to model.text_encoder.max_position_embeddings "
            f"({positions})."
        )
    return BertConfig(
        vocab_size=vocab_size,
        encoder_width=cfg.image_encoder.width,
        add_cross_attention=True,
        add_type_embeddings=False,
        **cfg.text_encoder,
    )


def _initialise(bert: Any) -> None:
    """Initialises the attention weights and positions of a LAVIS BERT as in FashionFAE."""
    for layer in bert.encoder.layer:
        attention, output = layer.attention.self, layer.attention.output.dense
        mimetic_attention_(attention.query.weight, attention.key.weight, attention.value.weight, output.weight)
    sine_positions_(bert.embeddings.position_embeddings.weight, bert.config.initializer_range)


@torch.no_grad()
def sine_positions_(table: nn.Parameter, size: float) -> None:
    """Fills a table of positions (L, D) in place with sines and cosines of root mean square `size`."""
    frequencies = 10_000.0 ** -torch.linspace(0, 1, table.shape[1] // 2)
    angles = torch.arange(len(table))[:, None] * frequencies
    table.copy_(2**0.5 * size * torch.cat((angles.sin(), angles.cos()), 1))
