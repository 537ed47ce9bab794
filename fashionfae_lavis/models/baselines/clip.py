"""LAVIS's CLIP (Radford et al., arXiv 2103.00020) from scratch, with FashionFAE's image encoder and vocabulary."""

from collections.abc import Callable
from typing import Any

import torch
from lavis.common.dist_utils import get_rank, get_world_size
from lavis.common.registry import registry
from lavis.models.clip_models.loss import ClipLoss
from lavis.models.clip_models.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.models.attention_init import mimetic_attention_
from fashionfae_lavis.models.baselines.parts import PatchEncoder, build_image_encoder, sine_positions_
from fashionfae_lavis.models.baselines.scratch import Scratch
from fashionfae_lavis.models.configuration import model_config_path
from fashionfae_lavis.text.product_text import normalise, prompt_template
from fashionfae_lavis.text.word_pieces import as_texts, tokenize_texts

WORD_SPREAD = 0.02  # standard deviation of CLIP's word embeddings


def clip_loss() -> ClipLoss:
    """Builds CLIP's loss for any number of processes; LAVIS's own loss always needs a process group."""
    return ClipLoss(rank=get_rank(), world_size=get_world_size())


def set_loss(model: CLIP) -> None:
    """Replaces the loss of LAVIS's `clip` by `clip_loss`."""
    model._loss = clip_loss()


class WordPieces:
    """Tokenizer for CLIP that maps texts to word-piece ids (B, length).

    CLIP takes the highest id as the end of a text, so the end token is appended to the vocabulary.

    Args:
        tokenizer: word-piece tokenizer of transformers.
        length: length to which every text is padded or cut, in word pieces.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int):
        self.tokenizer, self.length = tokenizer, length
        self.end = len(tokenizer)

    def __call__(self, texts: list[str] | str) -> Tensor:
        texts = as_texts(texts)
        pieces, mask = tokenize_texts(texts, self.tokenizer, self.length)
        ids = torch.full((len(texts), self.length), self.tokenizer.pad_token_id)
        ids[:, : pieces.shape[1]] = pieces
        ids[torch.arange(len(ids)), mask.sum(1) - 1] = self.end
        return ids


class ImageTower(nn.Module):
    """The image encoder with CLIP's projection of its [CLS]."""

    def __init__(self, encoder: PatchEncoder, embed_dim: int):
        super().__init__()
        self.encoder = encoder
        self.proj = nn.Parameter(encoder.embed_dim**-0.5 * torch.randn(encoder.embed_dim, embed_dim))

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to embeddings (B, embed_dim), not normalised."""
        return self.encoder(images)[:, 0] @ self.proj


@registry.register_model("fashion_clip")
class FashionClip(Scratch, CLIP):
    """LAVIS's `clip` with FashionFAE's image encoder and word pieces.

    The text transformer is CLIP's: causal, with a hidden layer four times as wide. Zero-shot classification uses
    FashionFAE's prompts.
    """

    ARCH = "fashion_clip"
    PRETRAINED_MODEL_CONFIG_DICT = {"mini": model_config_path("fashion_clip_mini")}
    IMAGE_PREFIX = "visual.encoder."
    HAS_MOMENTUM = False
    transformer: Any
    positional_embedding: nn.Parameter

    def __init__(self, embed_dim: int, image_encoder: PatchEncoder, text: CLIPTextCfg, *, tokenizer: WordPieces):
        # CLIP builds an image encoder in any case: a minimal ViT, which is replaced below.
        super().__init__(embed_dim, CLIPVisionCfg(0, 64, 1, 1), text, tokenizer=tokenizer)
        self.visual = ImageTower(image_encoder, embed_dim)
        self.tokenizer = tokenizer
        for block in self.transformer.resblocks:
            query, key, value = block.attn.in_proj_weight.chunk(3)
            mimetic_attention_(query, key, value, block.attn.out_proj.weight)
        sine_positions_(self.positional_embedding, WORD_SPREAD)
        self.prompt_templates = [_template(name) for name in ("category", "sub category")]
        self._loss = clip_loss()

    def before_evaluation(self, dataset: Any, task_type: type, **kwargs: Any) -> None:
        """Makes the zero-shot classifier of a dataset with labels, from the prompt of the label if it is known."""
        label = getattr(dataset, "label_field", None)
        if label is not None:
            self.prompt_templates = [_template(label)]
        super().before_evaluation(dataset, task_type, **kwargs)

    @property
    def word_pieces(self) -> PreTrainedTokenizerBase:
        return self.tokenizer.tokenizer

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer: PreTrainedTokenizerBase) -> "FashionClip":
        pieces = WordPieces(tokenizer, cfg.max_txt_len)
        sizes = CLIPTextCfg(context_length=cfg.max_txt_len, vocab_size=pieces.end + 1, **cfg.text_encoder)
        return cls(cfg.embed_dim, build_image_encoder(cfg), sizes, tokenizer=pieces)


def _template(name: str) -> Callable[[str], str]:
    return lambda value: " ".join([*prompt_template(name), normalise(value)])
