"""Baselines small enough for tests: our registered ones from their configurations, and LAVIS's own classes."""

import torch
from lavis.models.albef_models.albef_pretrain import AlbefPretrain
from lavis.models.albef_models.albef_retrieval import AlbefRetrieval
from lavis.models.blip_models.blip_caption import BlipCaption
from lavis.models.blip_models.blip_pretrain import BlipPretrain
from lavis.models.blip_models.blip_retrieval import BlipRetrieval
from lavis.models.clip_models.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from lavis.models.med import BertForMaskedLM, XBertEncoder, XBertLMHeadDecoder
from lavis.models.vit import VisionTransformerEncoder
from omegaconf import OmegaConf
from transformers import BertConfig

from fashionfae_lavis.models import baselines
from fashionfae_lavis.models.vocabulary import load_tokenizer

CLASSES = {
    "fashion_albef": baselines.FashionAlbef,
    "fashion_albef_recognition": baselines.FashionAlbefRecognition,
    "fashion_albef_retrieval": baselines.FashionAlbefRetrieval,
    "fashion_blip": baselines.FashionBlip,
    "fashion_blip_caption": baselines.FashionBlipCaption,
    "fashion_blip_recognition": baselines.FashionBlipRecognition,
    "fashion_blip_retrieval": baselines.FashionBlipRetrieval,
    "fashion_clip": baselines.FashionClip,
}


def tiny_config(arch: str, **changes):
    """The `model` section of the mini configuration, shrunk to 32 x 32 pixels and a width of 32."""
    config = OmegaConf.load(CLASSES[arch].default_config_path("mini")).model
    text = {"width": 32, "heads": 2, "layers": 2}
    if arch != "fashion_clip":
        text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        text |= {"max_position_embeddings": 128, "initializer_range": 0.1}
        text |= {"fusion_layer": 1} if "albef" in arch else {}
        config.queue_size = 16
    encoder = {"patch_size": 8, "stem": None, "width": 32, "depth": 1, "heads": 2, "pool": 1}
    config.update({"arch": arch, "image_size": 32, "embed_dim": 16, "text_encoder": text, "image_encoder": encoder})
    config.update({"num_classes": 6, **changes})
    return config


def tiny_baseline(arch: str, **changes):
    """One of our baselines with weights from seed 0."""
    torch.manual_seed(0)
    return CLASSES[arch].from_config(tiny_config(arch, **changes))


def lavis_model(arch: str):
    """Builds a small model of LAVIS's class with LAVIS's parts and weights from seed 0.

    Its `init_tokenizer` needs the hub, so tests must replace it.
    """
    torch.manual_seed(0)
    if arch == "clip":
        vision, text = CLIPVisionCfg(1, 64, 8, 32), CLIPTextCfg(77, 49408, 32, 2, 1)
        return CLIP(16, vision, text)
    vit = VisionTransformerEncoder(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    vit.vision_width = 32
    config = BertConfig(
        vocab_size=678, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, encoder_width=32, add_cross_attention=True, add_type_embeddings=False,
    )  # fmt: skip
    if "albef" in arch:
        config.fusion_layer = 1
    encoder = XBertEncoder(config, add_pooling_layer=False)
    momentum = {"queue_size": 8, "embed_dim": 16, "max_txt_len": 40}
    if arch == "blip_pretrain":
        return BlipPretrain(vit, encoder, XBertLMHeadDecoder(config), **momentum)
    if arch == "albef_pretrain":
        return AlbefPretrain(vit, BertForMaskedLM(config), **momentum)
    if arch == "blip_caption":
        return BlipCaption(vit, XBertLMHeadDecoder(config), prompt="the image description is ")
    return {"blip_retrieval": BlipRetrieval, "albef_retrieval": AlbefRetrieval}[arch](vit, encoder, **momentum)


def blip_tokenizer():
    """Returns a tokenizer with the packaged vocabulary and BLIP's start tokens, which ALBEF ignores."""
    tokenizer = load_tokenizer("mini")
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    tokenizer.enc_token_id = tokenizer.additional_special_tokens_ids[0]
    return tokenizer
