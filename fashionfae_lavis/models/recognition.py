"""Recognition: the category of a product from its image and its text (METHOD 4).

L = CE( W transform( pooled_CLS(text, image) ), category )
"""

import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.text.word_pieces import Text

# FashionGen's categories; its subcategories are 121.
CATEGORIES = 48


@registry.register_model("fashionfae_recognition")
class FashionRecognition(FashionEncoders):
    """Encoders with a classification head; other arguments as in FashionEncoders.

    Args:
        num_classes: number of categories, `model.num_classes` in a configuration (default 48).
        classes: their names in the order of the logits, `model.classes`, where they are known. The task
            `fashion_recognition` takes both from the data.
        use_text: False (`model.use_text`) reads the image alone: the text is empty, [CLS] [SEP], and the head sits on
            the same pooled [CLS].

    Attributes:
        head_is_new: whether no checkpoint of such a model has been loaded.
    """

    ARCH = "fashionfae_recognition"

    def __init__(
        self,
        *args,
        num_classes: int = CATEGORIES,
        classes: Sequence[str] | None = None,
        use_text: bool = True,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.classes = None if classes is None else list(classes)
        self.use_text = use_text
        self.head_is_new = True
        config = self.fusion_encoder.config
        self.classifier = nn.Sequential(BertPredictionHeadTransform(config), nn.Linear(config.hidden_size, num_classes))
        self.classifier.apply(self.fusion_encoder._init_weights)

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict:
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

    def load_checkpoint(self, url_or_filename: str) -> None:
        self.check_same_question(url_or_filename, "model.finetuned")
        super().load_checkpoint(url_or_filename)

    def start_from(self, path: str, encoders: Sequence[str] | None = None) -> None:
        self.check_same_question(path, "model.pretrained")
        super().start_from(path, encoders)

    def check_same_question(self, path: str, key: str) -> None:
        """UserError if the checkpoint at `path` tells other classes apart than this model, or reads other input.

        `key` names it in the error. A model of another kind has no classes, and an imported one no names for them: it
        is taken to have them in our order.
        """
        theirs = read_checkpoint(path).get("config", {}).get("model", {})
        if theirs.get("arch", self.ARCH) != self.ARCH:
            return
        self.head_is_new = False
        use_text, classes = theirs.get("use_text", True), theirs.get("classes")
        if use_text != self.use_text:
            raise UserError(
                f"`{key}` was trained with model.use_text={use_text}: set model.use_text to it, or start from a "
                "pre-trained checkpoint."
            )
        if self.classes and not classes:
            logging.warning("%s does not name its classes: they are taken to be in alphabetical order.", path)
        elif self.classes and classes != self.classes:
            differ = sorted(set(classes) ^ set(self.classes))
            shown = ", ".join(differ[:3]) + (", ..." if len(differ) > 3 else "")
            raise UserError(
                f"`{key}` tells {len(classes)} classes apart, the data set has {len(self.classes)}, and "
                f"{len(differ)} are not in both ({shown}): use its own data set and `label`, or start from a "
                "pre-trained checkpoint."
            )

    def logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        """Pooled tokens (B, N, D) and B texts -> category logits (B, num_classes)."""
        joint = self.fusion_encoder.encode_joint(text, image_tokens)
        return self.classifier(self.fusion_encoder.pooler(joint)).float()

    def classify(self, samples: dict) -> Tensor:
        """Samples, as in `forward` -> category logits (B, num_classes)."""
        images = samples["image"].to(self.device)
        texts = samples["text_input"] if self.use_text else [""] * len(images)
        return self.logits(self.fusion_tokens(images), self.tokenize(texts))

    def forward(self, samples: dict) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            samples: "image" (B, 3, S, S), "text_input" (B strings; not read without `use_text`), "label" (B,) category
                numbers.

        Returns:
            "loss" and "acc", the share of products put into their category.
        """
        label, logits = samples["label"], self.classify(samples)
        return {"loss": F.cross_entropy(logits, label), "acc": (logits.argmax(1) == label).float().mean()}

    @torch.no_grad()
    def predict(self, samples: dict) -> dict[str, Tensor]:
        """As LAVIS's classification models: "predictions" (B, num_classes) logits, "targets" the labels, if given."""
        return {"predictions": self.classify(samples), "targets": samples.get("label")}
