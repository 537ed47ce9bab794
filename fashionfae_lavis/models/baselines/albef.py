"""LAVIS's ALBEF (Li et al., arXiv 2107.07651): pre-training, retrieval and recognition, from scratch."""

from typing import Any

from lavis.common.registry import registry
from lavis.models.albef_models import AlbefBase
from lavis.models.albef_models.albef_classification import AlbefClassification
from lavis.models.albef_models.albef_pretrain import AlbefPretrain
from lavis.models.albef_models.albef_retrieval import AlbefRetrieval
from lavis.models.med import BertForMaskedLM
from omegaconf import DictConfig
from torch import nn
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.models.baselines.parts import build_image_encoder, build_text_encoder, build_word_predictor
from fashionfae_lavis.models.baselines.scratch import NewHead, Scratch
from fashionfae_lavis.models.configuration import model_config_path

CONFIGS = {"mini": model_config_path("fashion_albef_mini")}


class _Albef(Scratch):
    """Mixin that builds ALBEF's models from a configuration.

    Attributes:
        OPTIONS: configuration keys that are passed on to LAVIS's constructor.
    """

    PRETRAINED_MODEL_CONFIG_DICT = CONFIGS
    FAMILY = (AlbefBase,)
    OPTIONS: tuple[str, ...] = ("embed_dim", "queue_size", "momentum", "alpha", "temp", "max_txt_len")

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer: PreTrainedTokenizerBase) -> "_Albef":
        options = {name: cfg[name] for name in cls.OPTIONS}
        return cls(
            image_encoder=build_image_encoder(cfg),
            text_encoder=cls.bert(cfg, len(tokenizer)),
            tokenizer=tokenizer,
            **options,
        )

    @classmethod
    def bert(cls, cfg: DictConfig, vocab_size: int) -> nn.Module:
        """Builds the text encoder."""
        return build_text_encoder(cfg, vocab_size)


@registry.register_model("fashion_albef")
class FashionAlbef(_Albef, AlbefPretrain):
    """LAVIS's `albef_pretrain`: momentum contrast, matching and masked words, with distillation."""

    ARCH = "fashion_albef"
    OPTIONS = (*_Albef.OPTIONS, "mlm_mask_prob")

    @classmethod
    def bert(cls, cfg: DictConfig, vocab_size: int) -> nn.Module:
        return build_word_predictor(BertForMaskedLM, cfg, vocab_size)


@registry.register_model("fashion_albef_retrieval")
class FashionAlbefRetrieval(_Albef, AlbefRetrieval):
    """LAVIS's `albef_retrieval`: contrastive loss and matching; rows of the same product are not negatives."""

    ARCH = "fashion_albef_retrieval"


@registry.register_model("fashion_albef_recognition")
class FashionAlbefRecognition(NewHead, _Albef, AlbefClassification):
    """LAVIS's `albef_classification`."""

    ARCH = "fashion_albef_recognition"
    OPTIONS = ("num_classes", "momentum", "alpha", "max_txt_len")

    def forward(self, samples: dict[str, Any], is_train: bool = True) -> Any:
        return super().forward(self.visible(samples), is_train)
