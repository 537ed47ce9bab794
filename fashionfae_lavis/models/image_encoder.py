"""Image encoder: a timm ViT that returns every token, and the pooled tokens that enter fusion."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from fairscale.nn.checkpoint.checkpoint_activations import checkpoint_wrapper
from timm.models.vision_transformer import Attention, PatchEmbed, VisionTransformer
from torch import Tensor, nn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.attention_init import mimetic_attention_


class SdpaAttention(Attention):
    """timm's attention with the same weights, computed without storing the attention map."""

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.attn_drop.p if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.proj_drop(self.proj(x.transpose(1, 2).reshape(batch, length, width)))


class ConvStem(nn.Module):
    """Convolutions in place of the patch projection (Xiao et al., arXiv 2106.14881), with timm's interface of it.

    A small ViT learns edges and textures from tens of thousands of pictures this way, instead of millions.

    Args:
        channels: of the 3 x 3 convolutions, each of which halves the side: as many as halvings make a patch a token.

    Raises:
        UserError: another number of channels.
    """

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, channels: Sequence[int]):
        if 2 ** len(channels) != patch_size:
            raise UserError(
                f"model.image_encoder.stem has {len(channels)} convolutions, which make patches of "
                f"{2 ** len(channels)} pixels, but patch_size is {patch_size}: give as many as halve it to 1, or null "
                "for the plain ViT."
            )
        super().__init__()
        layers = []
        for before, after in zip((in_chans, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(after // 8, after), nn.ReLU()]
        self.proj = nn.Sequential(*layers, nn.Conv2d(channels[-1], embed_dim, 1))
        self.num_patches = (img_size // patch_size) ** 2

    def initialise(self) -> None:
        """He initialisation: timm's constructor of the ViT has given every convolution a spread for wide layers."""
        for module in self.proj:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) -> patches (B, grid*grid, embed_dim), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class ImageEncoder(VisionTransformer):
    """ViT whose output is its whole token sequence (METHOD: ViT-B/16 at 224x224, LayerNorm eps 1e-12).

    Args:
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels.
        width, depth, heads: transformer size.
        stem: channels of a ConvStem instead of ViT's patch projection.
        pool: side of the square of patches averaged into one fusion token (2 in the paper: 14x14 -> 7x7).
        grad_ckpt: recompute activations in the backward pass (fairscale), to save memory.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        pool: int = 2,
        stem: Sequence[int] | None = None,
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
            norm_layer=partial(nn.LayerNorm, eps=1e-12),
            embed_layer=partial(ConvStem, channels=stem) if stem else PatchEmbed,
        )
        for block in self.blocks:
            # Same parameters in the same order: only the computation changes.
            block.attn.__class__ = SdpaAttention
        if grad_ckpt:
            self.blocks = nn.Sequential(*(checkpoint_wrapper(block) for block in self.blocks))
        self.pool = pool
        self.grid = image_size // patch_size
        self.pooled_grid = self.grid // pool
        self._initialise()

    def _initialise(self) -> None:
        """Initial weights for training from scratch, at any width.

        Positions start as sines and cosines of row and column (Beyer et al., arXiv 2205.01580): timm's small noise
        would drown in the patches, and a model that cannot tell places apart learns colours long before shapes.
        Linear layers start at a spread that gives narrow models the dynamics of BERT-base.
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
                mimetic_attention_(*block.attn.qkv.weight.chunk(3), block.attn.proj.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) -> tokens (B, 1 + grid*grid, width), CLS first, after the final LayerNorm."""
        x = self.patch_embed(images)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        x = self.pos_drop(x + self.pos_embed)
        return self.norm(self.blocks(x))

    def pool_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens (B, 1 + grid*grid, width) -> CLS and pool x pool averages (B, 1 + (grid/pool)^2, width)."""
        batch, _, width = tokens.shape
        patches = tokens[:, 1:].transpose(1, 2).reshape(batch, width, self.grid, self.grid)
        patches = F.avg_pool2d(patches, self.pool).flatten(2).transpose(1, 2)
        return torch.cat((tokens[:, :1], patches), dim=1)
