"""Checkpoints of LAVIS's own BLIP, ALBEF and CLIP as `lavis.train` writes them, small and with random weights."""

import json
from pathlib import Path

import torch
from lavis.common.registry import registry
from lavis.models import med
from lavis.models.albef_models import AlbefBase
from lavis.models.base_model import BaseModel
from lavis.models.blip_models.blip import BlipBase
from lavis.models.clip_models.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from lavis.models.vit import VisionTransformerEncoder
from omegaconf import OmegaConf
from transformers import BertTokenizer

from fashionfae_lavis.checkpoints import save_atomically
from fashionfae_lavis.models.configuration import shipped

PROCESSING = {
    "vis_processor": {"eval": {"name": "blip_image_eval", "image_size": 32}},
    "text_processor": {"eval": {"name": "blip_caption"}},
}
LAYERS = 7  # ALBEF's pre-training model reads the image from the seventh
BERT = {
    "vocab_size": 678, "hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 128, "encoder_width": 32, "add_cross_attention": True,
    "add_type_embeddings": False, "fusion_layer": 6, "initializer_range": 0.1,
}  # fmt: skip
OPTIONS = {"embed_dim": 16, "queue_size": 8, "max_txt_len": 24, "image_size": 32, "num_classes": 4, "prompt": "a "}
BERTS = ("XBertEncoder", "XBertLMHeadDecoder", "BertForMaskedLM")


def small_vit(cls, cfg, from_pretrained=False):
    vit = VisionTransformerEncoder(img_size=cfg.image_size, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    vit.vision_width = 32
    return vit


def slow_tokenizer(cls):
    """The packaged vocabulary in the tokenizer class that LAVIS uses, with BLIP's pieces as LAVIS adds them."""
    tokenizer = BertTokenizer(str(Path(shipped("vocabularies", "mini")) / "vocab.txt"))
    if issubclass(cls, BlipBase):
        tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
        tokenizer.enc_token_id = tokenizer.additional_special_tokens_ids[0]
    return tokenizer


def fake_downloads(patch):
    """Puts small random parts where LAVIS downloads weights and a vocabulary."""
    patch.setattr(BlipBase, "init_tokenizer", classmethod(slow_tokenizer))
    patch.setattr(AlbefBase, "init_tokenizer", classmethod(slow_tokenizer))
    patch.setattr(VisionTransformerEncoder, "from_config", classmethod(small_vit))
    patch.setattr(BaseModel, "load_checkpoint_from_config", lambda self, cfg: None)
    for name in BERTS:
        built = classmethod(lambda cls, place, config, **options: cls(config, **options))
        patch.setattr(getattr(med, name), "from_pretrained", built)


def forbid_downloads(patch):
    """Makes LAVIS's downloads fail; the image encoder stays small."""

    def download(*args, **kwargs):
        raise AssertionError("downloads")

    patch.setattr(VisionTransformerEncoder, "from_config", classmethod(small_vit))
    for owner in (BertTokenizer, *(getattr(med, name) for name in BERTS)):
        patch.setattr(owner, "from_pretrained", download)


def lavis_run(arch: str, folder: Path, **sections):
    """Writes the checkpoint of LAVIS's own class, built by LAVIS's `from_config`; returns the model and the path."""
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    if arch == "clip":
        model = CLIP(16, CLIPVisionCfg(1, 64, 8, 32), CLIPTextCfg(77, 49408, 64, 1, 1), quick_gelu=True)
        section = {"arch": arch, "model_type": "ViT-B-32", "pretrained": "openai"}
    else:
        (folder / "bert.json").write_text(json.dumps(BERT))
        section = {"arch": arch, "model_type": "base", "med_config_path": str(folder / "bert.json"), **OPTIONS}
        model = registry.get_model_class(arch).from_config(OmegaConf.create({**section, "pretrained": None}))
        section["pretrained"] = "/home/me/start.pth"
    config = {"model": section, "datasets": {"shop": PROCESSING}, **sections}
    save_atomically({"model": model.state_dict(), "config": config}, folder / "checkpoint_last.pth")
    return model.eval(), folder / "checkpoint_last.pth"
