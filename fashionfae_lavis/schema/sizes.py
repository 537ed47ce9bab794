"""Checks of a model's sizes, without building the model."""

from typing import Any

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.schema.models import (
    AlbefTextEncoder,
    Baseline,
    Bert,
    ClipTextEncoder,
    FashionFAE,
    ImageEncoder,
    ImageTokenizer,
    Model,
    Pretrained,
    TokenizerSizes,
)
from fashionfae_lavis.schema.validation import above


def check_model(model: Model) -> None:
    """Checks the settings of a model of this package; raises UserError if they do not fit each other."""
    if isinstance(model, Pretrained):
        if not model.use_text and not model.arch.endswith("_recognition"):
            raise UserError(f"model.use_text is false, but {model.arch} is no recognition model: set it to True.")
        _check_image_encoder(model.image_encoder, model.image_size)
    if isinstance(model, FashionFAE):
        _check_bert(model.fusion_encoder, "model.fusion_encoder", model.max_length, "model.max_length")
        _check_fashionfae(model)
    if isinstance(model, ImageTokenizer):
        _check_tokenizer(model, "model")
    if isinstance(model, Baseline):
        text: Any = getattr(model, "text_encoder")  # noqa: B009 - the subclasses declare different classes
        if isinstance(text, Bert):
            _check_bert(text, "model.text_encoder", model.max_txt_len, "model.max_txt_len")
        if isinstance(text, ClipTextEncoder):
            _check_heads(text.width, text.heads, "model.text_encoder.width", "model.text_encoder.heads", 2)
        layers = text.num_hidden_layers if isinstance(text, AlbefTextEncoder) else 0
        if layers and text.fusion_layer > layers:
            raise above("model.text_encoder.fusion_layer", text.fusion_layer, "num_hidden_layers", layers)


def _check_image_encoder(encoder: ImageEncoder, image_size: int) -> None:
    key = "model.image_encoder"
    step = encoder.patch_size * encoder.pool
    if image_size % step:
        raise UserError(
            f"model.image_size is {image_size}, but must be a multiple of {key}.patch_size x pool, which is {step}."
        )
    _check_heads(encoder.width, encoder.heads, f"{key}.width", f"{key}.heads", 4)
    if encoder.stem is None:
        return
    if 2 ** len(encoder.stem) != encoder.patch_size:
        raise UserError(
            f"{key}.stem has {len(encoder.stem)} convolutions, which make patches of {2 ** len(encoder.stem)} pixels, "
            f"but patch_size is {encoder.patch_size}: use one convolution per halving of the patch, or null for a "
            "plain ViT."
        )
    for channels in encoder.stem:
        if channels % (channels // 8):
            raise UserError(
                f"{key}.stem has {channels} channels, which cannot be divided into groups: use multiples of 8."
            )


def _check_heads(width: int, heads: int, width_key: str, heads_key: str, multiple: int) -> None:
    if width % heads:
        raise UserError(f"{width_key} is {width}, but must be a multiple of {heads_key}, which is {heads}.")
    if width % multiple:
        raise UserError(f"{width_key} is {width}, but must be a multiple of {multiple}.")


def _check_bert(bert: Bert, key: str, length: int, length_key: str) -> None:
    _check_heads(bert.hidden_size, bert.num_attention_heads, f"{key}.hidden_size", f"{key}.num_attention_heads", 2)
    if length > bert.max_position_embeddings:
        raise above(length_key, length, f"{key}.max_position_embeddings", bert.max_position_embeddings)


def _check_fashionfae(model: FashionFAE) -> None:
    """Checks the sizes of FashionFAE's parts against each other."""
    image, fusion, tokenizer = model.image_encoder, model.fusion_encoder, model.image_tokenizer
    grid = model.image_size // (image.patch_size * image.pool)
    if fusion.hidden_size != image.width:
        raise UserError(
            f"model.image_encoder.width ({image.width}) and model.fusion_encoder.hidden_size ({fusion.hidden_size}) "
            "must be equal, because the promoted token replaces image tokens."
        )
    if fusion.split > fusion.num_hidden_layers:
        raise above("model.fusion_encoder.split", fusion.split, "num_hidden_layers", fusion.num_hidden_layers)
    if 1 + grid**2 > fusion.max_position_embeddings:
        raise UserError(
            f"model.fusion_encoder.max_position_embeddings is {fusion.max_position_embeddings}, but must be at least "
            f"{1 + grid**2}, the number of image tokens."
        )
    if model.arch != "fashionfae":
        return
    if model.apir.masked_patches > grid**2:
        raise UserError(f"model.apir.masked_patches is {model.apir.masked_patches}, but must be from 1 to {grid**2}.")
    if tokenizer is None:
        raise UserError("model.image_tokenizer is not set, but fashionfae needs it for APIR: give its sizes.")
    _check_tokenizer(tokenizer, "model.image_tokenizer")
    codes = model.image_size / 2 ** (len(tokenizer.multipliers) - 1)
    if codes != grid:
        raise UserError(
            f"model.image_tokenizer.multipliers has {len(tokenizer.multipliers)} levels, which make {codes:g} x "
            f"{codes:g} codes, but {grid} x {grid} patches enter fusion: use one level per halving to that grid, and "
            "one more."
        )


def _check_tokenizer(sizes: TokenizerSizes, key: str) -> None:
    for channels in (sizes.channels, *(sizes.channels * factor for factor in sizes.multipliers)):
        if channels % max(1, min(32, channels // 4)):
            raise UserError(
                f"{key}.channels is {sizes.channels}, which makes {channels} channels that cannot be divided into "
                "groups: use a power of two."
            )
