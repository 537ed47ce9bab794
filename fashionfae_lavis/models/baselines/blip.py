"""LAVIS's BLIP (Li et al., arXiv 2201.12086): pre-training, retrieval, captioning and recognition, from scratch."""

from typing import Any

from lavis.common.registry import registry
from lavis.models.albef_models.albef_classification import AlbefClassification
from lavis.models.blip_models.blip import BlipBase
from lavis.models.blip_models.blip_caption import BlipCaption
from lavis.models.blip_models.blip_classification import BlipClassification
from lavis.models.blip_models.blip_pretrain import BlipPretrain
from lavis.models.blip_models.blip_retrieval import BlipRetrieval
from lavis.models.med import XBertLMHeadDecoder
from omegaconf import DictConfig
from torch import nn
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.models.baselines.parts import build_image_encoder, build_text_encoder, build_word_predictor
from fashionfae_lavis.models.baselines.scratch import NewHead, Scratch
from fashionfae_lavis.models.configuration import model_config_path

CONFIGS = {"mini": model_config_path("fashion_blip_mini")}


class _Blip(Scratch):
    """Mixin that builds BLIP's models from a configuration.

    Attributes:
        OPTIONS: configuration keys that are passed on to LAVIS's constructor.
    """

    PRETRAINED_MODEL_CONFIG_DICT = CONFIGS
    FAMILY = (BlipBase,)
    OPTIONS: tuple[str, ...] = ("embed_dim", "queue_size", "momentum", "alpha", "max_txt_len")

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer: PreTrainedTokenizerBase) -> "_Blip":
        # As in BlipBase.init_tokenizer: the first token marks a text as one to generate or to read with the image.
        tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
        tokenizer.enc_token_id = tokenizer.additional_special_tokens_ids[0]
        options = {name: cfg[name] for name in cls.OPTIONS}
        return cls(
            image_encoder=build_image_encoder(cfg),
            tokenizer=tokenizer,
            **cls.berts(cfg, len(tokenizer)),
            **options,
        )

    @classmethod
    def berts(cls, cfg: DictConfig, vocab_size: int) -> dict[str, nn.Module]:
        """Builds the BERTs, by argument name of LAVIS's constructor."""
        return {"text_encoder": build_text_encoder(cfg, vocab_size)}


@registry.register_model("fashion_blip")
class FashionBlip(_Blip, BlipPretrain):
    """LAVIS's `blip_pretrain`: momentum contrast, matching and captioning."""

    ARCH = "fashion_blip"

    @classmethod
    def berts(cls, cfg: DictConfig, vocab_size: int) -> dict[str, nn.Module]:
        encoder = super().berts(cfg, vocab_size)
        return {**encoder, "text_decoder": build_word_predictor(XBertLMHeadDecoder, cfg, vocab_size)}


@registry.register_model("fashion_blip_retrieval")
class FashionBlipRetrieval(_Blip, BlipRetrieval):
    """LAVIS's `blip_retrieval`: contrastive loss and matching; rows of the same product are not negatives."""

    ARCH = "fashion_blip_retrieval"


@registry.register_model("fashion_blip_caption")
class FashionBlipCaption(_Blip, BlipCaption):
    """LAVIS's `blip_caption`."""

    ARCH = "fashion_blip_caption"
    OPTIONS = ("prompt", "max_txt_len")
    HAS_MOMENTUM = False

    @classmethod
    def berts(cls, cfg: DictConfig, vocab_size: int) -> dict[str, nn.Module]:
        return {"text_decoder": build_word_predictor(XBertLMHeadDecoder, cfg, vocab_size)}


@registry.register_model("fashion_blip_recognition")
class FashionBlipRecognition(NewHead, _Blip, BlipClassification):
    """LAVIS's `blip_classification` with ALBEF's training step.

    In LAVIS 1.0.2, BLIP's step raises TypeError because its output class lacks a field. ALBEF's step is the same code
    with an output class that has the field.
    """

    ARCH = "fashion_blip_recognition"
    OPTIONS = ("num_classes", "momentum", "alpha", "max_txt_len")

    def forward(self, samples: dict[str, Any], is_train: bool = True) -> Any:
        return AlbefClassification.forward(self, self.visible(samples), is_train)
