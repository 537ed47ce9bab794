"""FashionFAE (arXiv 2412.19997): two encoders, global embeddings and the heads of the five objectives."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from fashionfae_lavis import objectives
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.fusion_encoder import FusionEncoder
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.models.retrieval import FashionRetrieval
from fashionfae_lavis.objectives.apir import AttributePromotion
from fashionfae_lavis.text.word_pieces import Text


class Batch(NamedTuple):
    """What the objectives share of one batch of B products."""

    images: Tensor  # (B, 3, S, S)
    image_tokens: Tensor  # (B, 1 + grid^2, D)
    second_view: Tensor | None  # (B, 3, S, S)
    text: Text  # clean texts
    fields: list[dict] | None
    product_id: Tensor  # (B,)
    rng: np.random.Generator  # draws masks and replacements


class WordHead(nn.Module):
    """BERT's masked-word head; its decoder is the word embedding table, handed in so that it is stored once."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.transform = BertPredictionHeadTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """States (P, D) -> vocabulary logits (P, V)."""
        return F.linear(self.transform(states), word_embeddings, self.bias)


@registry.register_model("fashionfae")
class FashionFAE(FashionRetrieval):
    """The pre-training model (METHOD 2).

    Args:
        image_encoder, fusion_encoder, image_tokenizer: the parts, built by `build`.
        tokenizer: word-piece tokenizer of transformers.
        max_length: longest text in word pieces.
        masked_patches: patches that APIR hides (the paper's 8 of 49 by default).
        token_scale: size that APIR's promoted token starts with, the weight of its LayerNorm.

    Raises:
        UserError: there are not so many patches.
    """

    ARCH = "fashionfae"
    SHARED = ()  # all or nothing: its heads are what it is for

    def __init__(
        self,
        image_encoder: ImageEncoder,
        fusion_encoder: FusionEncoder,
        image_tokenizer: ImageTokenizer,
        tokenizer,
        max_length: int,
        masked_patches: int = 8,
        token_scale: float = 1.0,
    ):
        super().__init__(image_encoder, fusion_encoder, tokenizer, max_length)
        config = fusion_encoder.config
        patches = (image_encoder.grid // image_encoder.pool) ** 2
        if not 0 < masked_patches <= patches:
            raise UserError(f"`model.apir.masked_patches` is {masked_patches}, but must be from 1 to {patches}.")
        self.masked_patches = masked_patches
        self.itm_head = nn.Linear(config.hidden_size, 2)
        self.mlm_head = WordHead(config)
        self.promotion = AttributePromotion(config.hidden_size)
        self.apir_head = nn.Sequential(
            BertPredictionHeadTransform(config), nn.Linear(config.hidden_size, image_tokenizer.num_codes)
        )
        for head in (self.itm_head, self.mlm_head, self.promotion, self.apir_head):
            head.apply(fusion_encoder._init_weights)
        nn.init.constant_(self.promotion.layer_norm.weight, token_scale)
        self.image_tokenizer = image_tokenizer.requires_grad_(False)
        self.image_tokenizer.eval()

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict:
        return {"image_tokenizer": ImageTokenizer.from_config(cfg.image_tokenizer), **cfg.get("apir", {})}

    def train(self, mode: bool = True) -> "FashionFAE":
        """The image tokenizer is a fixed target and stays in evaluation mode."""
        super().train(mode)
        self.image_tokenizer.eval()
        return self

    def forward(self, samples: dict) -> dict[str, Tensor]:
        """Losses of one batch.

        Args:
            samples: "image" (B, 3, S, S), "text_input" (B strings), "fields" (B dicts, for MLM and AETP), and
                optionally "image_2" (second views), "product_id" (B,), "objectives" (names, default all five),
                "mask_seed" (integers that fix masks and replacements).

        Returns:
            "loss", one "loss_<objective>" and "acc_<objective>" each (a loss and a share in 0..1), and the
            consistency terms of text prediction and APIR.
        """
        names = samples.get("objectives", objectives.OBJECTIVES)
        images = samples["image"]
        product_id = samples.get("product_id")
        batch = Batch(
            images=images,
            image_tokens=self.image_encoder(images),
            second_view=samples.get("image_2"),
            text=self.tokenize(samples["text_input"]),
            fields=samples.get("fields"),
            product_id=torch.arange(len(images), device=images.device) if product_id is None else product_id,
            rng=np.random.default_rng(samples.get("mask_seed")),
        )
        return objectives.compute(self, batch, names)
