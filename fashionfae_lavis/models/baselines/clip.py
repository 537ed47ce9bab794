"""LAVIS's CLIP (Radford et al., arXiv 2103.00020) from scratch: image encoder, vocabulary and sizes are given."""

import torch
from lavis.common.dist_utils import get_rank, get_world_size
from lavis.common.registry import registry
from lavis.models.clip_models.loss import ClipLoss
from lavis.models.clip_models.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from omegaconf import DictConfig
from torch import Tensor, nn

from fashionfae_lavis.models.attention_init import mimetic_attention_
from fashionfae_lavis.models.baselines.parts import PatchEncoder, build_image_encoder, sine_positions_
from fashionfae_lavis.models.baselines.scratch import Scratch
from fashionfae_lavis.models.configuration import model_config_path
from fashionfae_lavis.text.product_text import normalise, prompt_template
from fashionfae_lavis.text.word_pieces import tokenize_texts

WORDS = 0.02  # spread of CLIP's word embeddings


def set_loss(model: CLIP) -> None:
    """Give a CLIP of LAVIS its loss: the one it would make itself asks for a process group that a CPU run has not."""
    model._loss = ClipLoss(rank=get_rank(), world_size=get_world_size())


class WordPieces:
    """In place of CLIP's tokenizer: texts -> ids (B, length), with an end that has the highest id.

    CLIP finds the end of a text that way, so it is none of the vocabulary's pieces.
    """

    def __init__(self, tokenizer, length: int):
        self.tokenizer, self.length = tokenizer, length
        self.end = len(tokenizer)

    def __call__(self, texts: list[str] | str) -> Tensor:
        texts = [texts] if isinstance(texts, str) else texts
        pieces, mask = tokenize_texts(texts, self.tokenizer, self.length)
        ids = torch.full((len(texts), self.length), self.tokenizer.pad_token_id)
        ids[:, : pieces.shape[1]] = pieces
        ids[torch.arange(len(ids)), mask.sum(1) - 1] = self.end
        return ids


class ImageTower(nn.Module):
    """The image encoder's CLS, projected, as CLIP's own ViT ends."""

    def __init__(self, encoder: PatchEncoder, embed_dim: int):
        super().__init__()
        self.encoder = encoder
        self.proj = nn.Parameter(encoder.embed_dim**-0.5 * torch.randn(encoder.embed_dim, embed_dim))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) -> (B, embed_dim)."""
        return self.encoder(images)[:, 0] @ self.proj


@registry.register_model("fashion_clip")
class FashionClip(Scratch, CLIP):
    """LAVIS's `clip`, with FashionFAE's image encoder and a vocabulary of word pieces.

    Its text transformer is CLIP's: causal, and four times as wide inside. It names classes by our prompts.
    """

    ARCH = "fashion_clip"
    PRETRAINED_MODEL_CONFIG_DICT = {"mini": model_config_path("fashion_clip_mini")}
    IMAGE_PREFIX = "visual.encoder."

    def __init__(self, embed_dim: int, image_encoder: PatchEncoder, text: CLIPTextCfg, *, tokenizer):
        # The smallest ViT that CLIP can build, to be replaced.
        super().__init__(embed_dim, CLIPVisionCfg(0, 64, 1, 1), text, tokenizer=tokenizer)
        self.visual = ImageTower(image_encoder, embed_dim)
        self.tokenizer = tokenizer
        for block in self.transformer.resblocks:
            mimetic_attention_(*block.attn.in_proj_weight.chunk(3), block.attn.out_proj.weight)
        sine_positions_(self.positional_embedding, WORDS)
        self.prompt_templates = [_template(name) for name in ("category", "sub category")]
        set_loss(self)

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer) -> "FashionClip":
        pieces = WordPieces(tokenizer, cfg.max_txt_len)
        sizes = CLIPTextCfg(context_length=cfg.max_txt_len, vocab_size=pieces.end + 1, **cfg.text_encoder)
        return cls(cfg.embed_dim, build_image_encoder(cfg), sizes, tokenizer=pieces)


def _template(name: str):
    return lambda value: " ".join([*prompt_template(name), normalise(value)])
