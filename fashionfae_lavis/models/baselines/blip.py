"""LAVIS's BLIP (Li et al., arXiv 2201.12086): pre-training, retrieval, captioning and recognition, from scratch."""

from lavis.common.registry import registry
from lavis.models.albef_models.albef_classification import AlbefClassification
from lavis.models.blip_models.blip_caption import BlipCaption
from lavis.models.blip_models.blip_classification import BlipClassification
from lavis.models.blip_models.blip_pretrain import BlipPretrain
from lavis.models.blip_models.blip_retrieval import BlipRetrieval
from lavis.models.med import XBertEncoder, XBertLMHeadDecoder
from omegaconf import DictConfig

from fashionfae_lavis.models.baselines.parts import build_bert, build_image_encoder
from fashionfae_lavis.models.baselines.scratch import NewHead, Scratch
from fashionfae_lavis.models.configuration import model_config_path

CONFIGS = {"mini": model_config_path("fashion_blip_mini")}


class _Blip(Scratch):
    """How BLIP's models are built: LAVIS's constructors take the encoders."""

    PRETRAINED_MODEL_CONFIG_DICT = CONFIGS
    OPTIONS = ("embed_dim", "queue_size", "momentum", "alpha", "max_txt_len")  # of the constructor, from `model`

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer) -> "_Blip":
        # As BlipBase.init_tokenizer: what a text begins with says whether it is to be written or read with the image.
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
    def berts(cls, cfg: DictConfig, vocab_size: int) -> dict:
        """The constructor's arguments that are BERTs."""
        return {"text_encoder": build_bert(XBertEncoder, cfg, vocab_size, add_pooling_layer=False)}


@registry.register_model("fashion_blip")
class FashionBlip(_Blip, BlipPretrain):
    """LAVIS's `blip_pretrain`: contrast with a momentum queue, matching, and captioning."""

    ARCH = "fashion_blip"

    @classmethod
    def berts(cls, cfg: DictConfig, vocab_size: int) -> dict:
        return {**super().berts(cfg, vocab_size), "text_decoder": build_bert(XBertLMHeadDecoder, cfg, vocab_size)}


@registry.register_model("fashion_blip_retrieval")
class FashionBlipRetrieval(_Blip, BlipRetrieval):
    """LAVIS's `blip_retrieval`: contrast and matching, in which rows of one product are no negatives."""

    ARCH = "fashion_blip_retrieval"


@registry.register_model("fashion_blip_caption")
class FashionBlipCaption(_Blip, BlipCaption):
    """LAVIS's `blip_caption`."""

    ARCH = "fashion_blip_caption"
    OPTIONS = ("prompt", "max_txt_len")

    @classmethod
    def berts(cls, cfg: DictConfig, vocab_size: int) -> dict:
        return {"text_decoder": build_bert(XBertLMHeadDecoder, cfg, vocab_size)}


@registry.register_model("fashion_blip_recognition")
class FashionBlipRecognition(NewHead, _Blip, BlipClassification):
    """LAVIS's `blip_classification`, whose training step in LAVIS 1.0.2 ends in a TypeError.

    It names a field of its output that BLIP's output class lacks. ALBEF's step has the same code, and the field.
    """

    ARCH = "fashion_blip_recognition"
    OPTIONS = ("num_classes", "momentum", "alpha", "max_txt_len")

    forward = AlbefClassification.forward
