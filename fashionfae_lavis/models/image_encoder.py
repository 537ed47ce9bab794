"""The image encoder: a timm ViT that returns every token, and pools tokens for the fusion encoder."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from fairscale.nn.checkpoint.checkpoint_activations import checkpoint_wrapper
from timm.models.vision_transformer import Attention, PatchEmbed, VisionTransformer
from torch import Tensor, nn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.attention_init import mimetic_attention_


class SdpaAttention(nn.Module):
    """timm's self-attention by torch's fused kernel.

    The kernel stores no attention map, except on CPU in training with dropout.

    Args:
        attention: timm's self-attention, whose layers this module takes over.
    """

    def __init__(self, attention: Attention):
        super().__init__()
        self.qkv, self.attn_drop = attention.qkv, attention.attn_drop
        self.proj, self.proj_drop = attention.proj, attention.proj_drop
        self.heads = attention.num_heads

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (B, N, D) to (B, N, D)."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.attn_drop.p if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.proj_drop(self.proj(x.transpose(1, 2).reshape(batch, length, width)))


class ConvStem(nn.Module):
    """Convolutions that replace the ViT's patch projection (Xiao et al., arXiv 2106.14881).

    With them a small ViT learns edges and textures from tens of thousands of images instead of millions.

    Args:
        img_size, patch_size, in_chans, embed_dim: the arguments that timm passes to a patch projection.
        channels: output channels of the 3 x 3 convolutions. Each halves the side, until a patch is one token.

    Raises:
        UserError: the number of convolutions does not fit the patch size.
    """

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, channels: Sequence[int]):
        if 2 ** len(channels) != patch_size:
            raise UserError(
                f"model.image_encoder.stem has {len(channels)} convolutions, which make patches of "
                f"{2 ** len(channels)} pixels, but patch_size is {patch_size}: use one convolution per halving of the "
                "patch, or null for a plain ViT."
            )
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((in_chans, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(after // 8, after), nn.ReLU()]
        self.proj = nn.Sequential(*layers, nn.Conv2d(channels[-1], embed_dim, 1))
        self.num_patches = (img_size // patch_size) ** 2

    def initialise(self) -> None:
        """Applies He initialisation, because timm initialises every convolution like a wide linear layer."""
        for module in self.proj:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to patch tokens (B, grid^2, embed_dim), row by row."""
        # On CPU, convolutions of few channels are faster on channels-last images (benchmarks/kernels.py).
        return self.proj(images.contiguous(memory_format=torch.channels_last)).flatten(2).transpose(1, 2)


class ImageEncoder(VisionTransformer):
    """A ViT that returns its whole token sequence (in the paper ViT-B/16 at 224 x 224 pixels).

    Args:
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels.
        width, depth, heads: transformer size.
        pool: side of the square of patches averaged into one fusion token (2 in the paper: 14 x 14 to 7 x 7).
        stem: channels of a `ConvStem` that replaces the patch projection; None for a plain ViT.
        layer_norm_eps: epsilon of the LayerNorms: 1e-12 in the paper's ViT, which is transformers', and 1e-6 in timm's.
        grad_ckpt: recomputes activations in the backward pass (fairscale) to save memory.

    Attributes:
        image_size: side of the image in pixels.
        grid: patches on a side of the image.
        pooled_grid: fusion tokens on a side of the image.
    """

    blocks: Any  # of timm's Blocks

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        pool: int = 2,
        stem: Sequence[int] | None = None,
        layer_norm_eps: float = 1e-12,
        grad_ckpt: bool = False,
    ):
        if image_size % (patch_size * pool):
            raise ValueError(f"image_size {image_size} is not a multiple of patch_size x pool = {patch_size * pool}")
        super().__init__(
            img_size=image_size,
            patch_size=patch_size,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            num_classes=0,
            norm_layer=partial(nn.LayerNorm, eps=layer_norm_eps),
            embed_layer=partial(ConvStem, channels=stem) if stem else PatchEmbed,
        )
        for block in self.blocks:
            block.attn = SdpaAttention(block.attn)
        if grad_ckpt:
            self.blocks = nn.Sequential(*(checkpoint_wrapper(block) for block in self.blocks))
        self.image_size = image_size
        self.pool = pool
        self.grid = image_size // patch_size
        self.pooled_grid = self.grid // pool
        self._initialise()

    def _initialise(self) -> None:
        """Draws initial weights for training from scratch, at any width.

        Positions start as sines and cosines of row and column (Beyer et al., arXiv 2205.01580). timm's small noise
        would drown in the patches, and a model that cannot tell positions apart learns colours long before shapes.
        The standard deviation of linear layers makes narrow models train like BERT-base.
        """
        frequencies = 10_000.0 ** -torch.linspace(0, 1, self.embed_dim // 4)
        angles = torch.arange(self.grid)[:, None] * frequencies
        axis = torch.cat((angles.sin(), angles.cos()), 1)
        rows, columns = axis[:, None].expand(-1, self.grid, -1), axis[None].expand(self.grid, -1, -1)
        if isinstance(self.patch_embed, ConvStem):
            self.patch_embed.initialise()
        with torch.no_grad():
            self.pos_embed[0, 1:] = torch.cat((rows, columns), 2).flatten(0, 1)
            for name, parameter in self.blocks.named_parameters():
                if parameter.ndim == 2 and name.endswith("weight"):
                    nn.init.trunc_normal_(parameter, std=0.02 * (768 / self.embed_dim) ** 0.5)
            for block in self.blocks:
                query, key, value = block.attn.qkv.weight.chunk(3)
                mimetic_attention_(query, key, value, block.attn.proj.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to tokens (B, 1 + grid^2, width), [CLS] first, after the final LayerNorm."""
        x = self.patch_embed(images)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        x = self.pos_drop(x + self.pos_embed)
        return self.norm(self.blocks(x))

    def pool_tokens(self, tokens: Tensor) -> Tensor:
        """Averages squares of pool x pool patches: tokens (B, 1 + grid^2, width) to (B, 1 + pooled_grid^2, width)."""
        batch, _, width = tokens.shape
        patches = tokens[:, 1:].transpose(1, 2).reshape(batch, width, self.grid, self.grid)
        patches = F.avg_pool2d(patches, self.pool).flatten(2).transpose(1, 2)
        return torch.cat((tokens[:, :1], patches), dim=1)
