"""FashionFAE (arXiv 2412.19997): two encoders, global embeddings and the heads of the five objectives."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from lavis.models.base_model import BaseModel
from lavis.models.blip_models.blip_outputs import BlipOutputFeatures
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from fashionfae_lavis import objectives
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.masking.word_pieces import tokenize_texts
from fashionfae_lavis.models.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.models.configuration import (
    known_config_path,
    load_model_config,
    model_config_path,
    shipped,
)
from fashionfae_lavis.models.fusion_encoder import FusionEncoder, Text
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.models.initial_weights import load_hub_weights, load_tokenizer
from fashionfae_lavis.objectives.apir import AttributePromotion


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
class FashionFAE(BaseModel):
    """The pre-training model (METHOD 2).

    Args:
        image_encoder, fusion_encoder, image_tokenizer: the parts, built by `from_config`.
        tokenizer: word-piece tokenizer of transformers.
        max_length: longest text in word pieces.
    """

    DEFAULT_MODEL_TYPE = "mini"
    PRETRAINED_MODEL_CONFIG_DICT = {name: model_config_path(f"fashionfae_{name}") for name in ("mini", "base")}

    def __init__(
        self,
        image_encoder: ImageEncoder,
        fusion_encoder: FusionEncoder,
        image_tokenizer: ImageTokenizer,
        tokenizer,
        max_length: int,
    ):
        super().__init__()
        self.image_encoder = image_encoder
        self.fusion_encoder = fusion_encoder
        self.tokenizer = tokenizer
        self.max_length = max_length
        config = fusion_encoder.config
        self.scale = nn.Parameter(torch.tensor([4.0]))
        self.itm_head = nn.Linear(config.hidden_size, 2)
        self.mlm_head = WordHead(config)
        self.promotion = AttributePromotion(config.hidden_size)
        self.apir_head = nn.Sequential(
            BertPredictionHeadTransform(config), nn.Linear(config.hidden_size, image_tokenizer.num_codes)
        )
        for head in (self.itm_head, self.mlm_head, self.promotion, self.apir_head):
            head.apply(fusion_encoder._init_weights)
        self.image_tokenizer = image_tokenizer.requires_grad_(False)
        self.image_tokenizer.eval()

    @classmethod
    def config_for(cls, model_type: str | None) -> DictConfig:
        """Configuration (`model`, `preprocess`) of a model type, or of the run that a checkpoint at this path is of."""
        return load_model_config(cls, model_type)

    @classmethod
    def default_config_path(cls, model_type: str) -> str:
        """Path of a model type's configuration, for LAVIS; an unknown type is a UserError."""
        return known_config_path(cls, model_type)

    @classmethod
    def from_pretrained(cls, model_type: str | None = None) -> "FashionFAE":
        """`model_type`: "mini" (trained, shipped), "base" (initial weights from the hub), or a checkpoint's path."""
        return cls.from_config(cls.config_for(model_type).model)

    @classmethod
    def from_config(cls, cfg) -> "FashionFAE":
        """Build from a configuration like configs/models/fashionfae_mini.yaml, then load the weights it names.

        Raises:
            UserError: the hub or a file it names cannot be read.
        """
        cfg = OmegaConf.create(cfg)
        tokenizer = load_tokenizer(cfg.vocabulary)
        grad_ckpt = cfg.get("grad_ckpt", False)
        image = ImageEncoder(image_size=cfg.image_size, grad_ckpt=grad_ckpt, **cfg.image_encoder)
        sizes = OmegaConf.to_container(cfg.fusion_encoder)
        split = sizes.pop("split")
        bert_config = BertConfig(vocab_size=len(tokenizer), **sizes)
        fusion = FusionEncoder(bert_config, image.embed_dim, split, grad_ckpt)
        if bert_config.hidden_size != image.embed_dim:
            raise UserError(
                f"model.image_encoder.width ({image.embed_dim}) and model.fusion_encoder.hidden_size "
                f"({bert_config.hidden_size}) must be equal: the promoted token takes the place of image tokens."
            )
        model = cls(image, fusion, ImageTokenizer.from_config(cfg.image_tokenizer), tokenizer, cfg.max_length)
        if cfg.get("load_finetuned", False):
            model.load_checkpoint(cfg.finetuned)
        elif cfg.get("load_pretrained", True):
            if cfg.get("pretrained"):
                model.load_checkpoint(shipped("weights", cfg.pretrained))
            else:
                load_hub_weights(model, cfg.bert, cfg.vit)
        return model

    def load_checkpoint(self, url_or_filename: str) -> None:
        """Load one of our checkpoints (.pth or .safetensors); anything missing or of another shape is an error."""
        load_weights(self, read_checkpoint(url_or_filename)["model"], url_or_filename)

    def train(self, mode: bool = True) -> "FashionFAE":
        """The image tokenizer is a fixed target and stays in evaluation mode."""
        super().train(mode)
        self.image_tokenizer.eval()
        return self

    @contextmanager
    def without_dropout(self):
        """Evaluation mode for the length of a `with`."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def scaled(self, embedding: Tensor) -> Tensor:
        """(B, D) -> unit length times the learned scale."""
        return F.normalize(embedding, dim=-1) * self.scale

    def image_embedding(self, image_tokens: Tensor) -> Tensor:
        """All tokens (B, 1 + grid^2, D) -> global embedding (B, D): mean of the projected tokens, scaled."""
        # The mean of projected tokens is the projected mean.
        return self.scaled(self.fusion_encoder.visual_embeddings.projection(image_tokens.mean(1)))

    def text_embedding(self, text: Text) -> Tensor:
        """Texts -> global embedding (B, D): mean over real tokens of the last layer, scaled."""
        states = self.fusion_encoder.encode_text(text)
        return self.scaled(self.fusion_encoder.masked_mean(states, text.mask))

    def tokenize(self, texts: list[str]) -> Text:
        """Texts -> ids and mask (B, L) on the model's device, padded to the longest of them."""
        return Text(*(t.to(self.device) for t in tokenize_texts(texts, self.tokenizer, self.max_length)))

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

    @torch.no_grad()
    def extract_features(self, samples: dict, mode: str = "multimodal") -> BlipOutputFeatures:
        """Features as LAVIS's feature extractors give them.

        Args:
            samples: "image" (B, 3, S, S) and/or "text_input" (B strings).
            mode: "image", "text" or "multimodal".

        Returns:
            image_embeds (B, 1 + grid^2, D) and text_embeds (B, L, D): states; image_embeds_proj and text_embeds_proj
            (B, 1, D): unit-length global embeddings, whose dot product is the cosine similarity;
            multimodal_embeds (B, L + 1 + pooled, D): fused states.
        """
        if mode not in ("image", "text", "multimodal"):
            raise ValueError(f'mode must be "image", "text" or "multimodal", not {mode!r}')
        output = BlipOutputFeatures()
        if mode != "text":
            output.image_embeds = self.image_encoder(samples["image"].to(self.device))
            output.image_embeds_proj = F.normalize(self.image_embedding(output.image_embeds), dim=-1)[:, None]
        if mode != "image":
            text = self.tokenize(samples["text_input"])
            if mode == "text":
                output.text_embeds = self.fusion_encoder.encode_text(text)
                mean = self.fusion_encoder.masked_mean(output.text_embeds, text.mask)
                output.text_embeds_proj = F.normalize(mean, dim=-1)[:, None]
            else:
                pooled = self.image_encoder.pool_tokens(output.image_embeds)
                output.multimodal_embeds = self.fusion_encoder.encode_joint(text, pooled)
        return output
