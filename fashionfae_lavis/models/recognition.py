"""Recognition (FashionFAE, arXiv 2412.19997): the category of a product from its image and its text.

L = CE( W transform( pooled_CLS(text, image) ), category )
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.models.fusion_encoder import CLS
from fashionfae_lavis.models.guards import model_section
from fashionfae_lavis.models.inputs import images_of, labels_of, texts_of
from fashionfae_lavis.models.saved_head import check_same_head
from fashionfae_lavis.text.word_pieces import Text

CATEGORIES = 48  # of FashionGen, which also has 121 subcategories


@registry.register_model("fashionfae_recognition")
class FashionRecognition(FashionEncoders):
    """Encoders with a classification head. Takes the arguments of `FashionEncoders`, and those below.

    Args:
        num_classes: `model.num_classes`, the number of categories.
        classes: `model.classes`, the category names in the order of the logits; None if unknown. The task
            `fashion_recognition` takes number and names from the data.
        use_text: `model.use_text`; False reads the image with an empty text, `[CLS] [SEP]`.

    Attributes:
        head_is_new: whether the head still has its random weights.

    Raises:
        UserError: `classes` has not `num_classes` names.
    """

    ARCH = "fashionfae_recognition"

    def __init__(
        self,
        *args: Any,
        num_classes: int = CATEGORIES,
        classes: Sequence[str] | None = None,
        use_text: bool = True,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.classes = None if classes is None else list(classes)
        if self.classes is not None and len(self.classes) != num_classes:
            raise UserError(
                f"model.classes has {len(self.classes)} names, but model.num_classes is {num_classes}: make them equal."
            )
        self.use_text = use_text
        self.head_is_new = True
        config = self.fusion_encoder.config
        self.classifier = nn.Sequential(BertPredictionHeadTransform(config), nn.Linear(config.hidden_size, num_classes))
        self.classifier.apply(self.fusion_encoder._init_weights)

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict[str, Any]:
        return {
            "num_classes": cfg.get("num_classes", CATEGORIES),
            "classes": cfg.get("classes"),
            "use_text": cfg.get("use_text", True),
        }

    @classmethod
    def config_for(cls, model_type: str | None) -> DictConfig:
        cfg = super().config_for(model_type)
        for processor in cfg.preprocess.text_processor.values():
            processor.mode = "recognition"
        return cfg

    def load_content(self, content: dict[str, Any], path: str) -> None:
        check_same_head(content, self, path, "model.finetuned")
        super().load_content(content, path)
        self.head_is_new = False

    def start_from_content(self, content: dict[str, Any], path: str, encoders: Sequence[str] | None) -> None:
        check_same_head(content, self, path, "model.pretrained")
        super().start_from_content(content, path, encoders)
        self.head_is_new = model_section(content).get("arch", self.ARCH) != self.ARCH

    def logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        """Classifies pairs of pooled tokens (B, N, D) and texts; returns category logits (B, num_classes)."""
        joint = self.fusion_encoder.encode_joint(text, image_tokens, wanted=CLS)
        return self.classifier(self.fusion_encoder.pooler(joint)).float()

    def classify(self, samples: dict[str, Any]) -> Tensor:
        """Classifies the samples of `forward`; returns category logits (B, num_classes).

        Raises:
            UserError: a key is missing or does not fit.
        """
        images = images_of(samples, "this model", self.image_size).to(self.device)
        texts = texts_of(samples, "this model", len(images)) if self.use_text else [""] * len(images)
        return self.logits(self.fusion_tokens(images), self.tokenize(texts))

    def forward(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the loss of one batch.

        Args:
            samples: "image" (B, 3, S, S), "text_input" (B strings; read only with `use_text`), and "label" (B,), the
                category indices.

        Returns:
            "loss", and "acc", the share of products classified correctly.

        Raises:
            UserError: a key is missing or does not fit.
        """
        logits = self.classify(samples)
        label = labels_of(samples, "training", len(logits)).to(logits.device)
        return {"loss": F.cross_entropy(logits, label), "acc": (logits.argmax(1) == label).float().mean()}

    @torch.no_grad()
    def predict(self, samples: dict[str, Any]) -> dict[str, Tensor | None]:
        """Classifies samples, with the keys of LAVIS's classification models.

        Returns:
            "predictions", logits (B, num_classes), and "targets", the labels (B,) or None.
        """
        return {"predictions": self.classify(samples), "targets": samples.get("label")}
