"""Recognition: the category of a product from its image and its text (METHOD 4).

L = CE( W transform( pooled_CLS(text, image) ), category )
"""

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.models.fusion_encoder import Text

# FashionGen's categories; its subcategories are 121.
CATEGORIES = 48


@registry.register_model("fashionfae_recognition")
class FashionRecognition(FashionEncoders):
    """Encoders with a classification head; other arguments as in FashionEncoders.

    Args:
        num_classes: number of categories, `model.num_classes` in a configuration (default 48).
    """

    ARCH = "fashionfae_recognition"

    def __init__(self, *args, num_classes: int = CATEGORIES, **kwargs):
        super().__init__(*args, **kwargs)
        config = self.fusion_encoder.config
        self.classifier = nn.Sequential(BertPredictionHeadTransform(config), nn.Linear(config.hidden_size, num_classes))
        self.classifier.apply(self.fusion_encoder._init_weights)

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict:
        return {"num_classes": cfg.get("num_classes", CATEGORIES)}

    def logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        """Pooled tokens (B, N, D) and B texts -> category logits (B, num_classes)."""
        joint = self.fusion_encoder.encode_joint(text, image_tokens)
        return self.classifier(self.fusion_encoder.pooler(joint)).float()

    def forward(self, samples: dict) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            samples: "image" (B, 3, S, S), "text_input" (B strings), "label" (B,) category numbers.

        Returns:
            "loss" and "acc", the share of products put into their category.
        """
        label = samples["label"]
        logits = self.logits(self.fusion_tokens(samples["image"]), self.tokenize(samples["text_input"]))
        return {"loss": F.cross_entropy(logits, label), "acc": (logits.argmax(1) == label).float().mean()}

    @torch.no_grad()
    def predict(self, samples: dict) -> dict[str, Tensor]:
        """As LAVIS's classification models: "predictions" (B, num_classes) logits, "targets" the labels, if given."""
        tokens = self.fusion_tokens(samples["image"].to(self.device))
        logits = self.logits(tokens, self.tokenize(samples["text_input"]))
        return {"predictions": logits, "targets": samples.get("label")}
