"""The image tokenizer: a VQ-VAE that turns an image into a small grid of codes, the frozen target of APIR.

Architecture and weight names follow the VQGAN family (Esser et al., arXiv 2012.09841) in FashionViL's sizes. The
codebook is learned by exponential moving averages (van den Oord et al., arXiv 1711.00937).
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from lavis.common.dist_utils import get_world_size
from lavis.common.registry import registry
from lavis.models.base_model import BaseModel
from torch import Tensor, nn

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import model_config_path, shipped
from fashionfae_lavis.models.inputs import images_of


def _norm(channels: int) -> nn.GroupNorm:
    """Builds GroupNorm with VQGAN's 32 groups, or fewer: groups under four channels would erase the mean colour."""
    return nn.GroupNorm(max(1, min(32, channels // 4)), channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two convolutions with a residual connection; a feature map (B, C, h, w) keeps its height and width."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.norm1 = _norm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = _norm(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class AttentionBlock(nn.Module):
    """Single-head self-attention over the positions of a feature map (B, C, h, w)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        query, key, value = (layer(h).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(query, key, value)
        return x + self.proj_out(h.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """Convolution that halves the height and width of a feature map (B, C, h, w)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Interpolation and convolution that double the height and width of a feature map (B, C, h, w)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0))


class Level(nn.Module):
    """Residual blocks of one resolution, each optionally followed by attention, then a change of resolution.

    `Encoder` sets `downsample` and `Decoder` sets `upsample`, except on their last levels.
    """

    def __init__(self, channels_in: int, channels_out: int, blocks: int, attention: bool):
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(channels_out if i else channels_in, channels_out) for i in range(blocks))
        self.attn = nn.ModuleList(AttentionBlock(channels_out) for _ in range(blocks if attention else 0))
        self.downsample, self.upsample = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[index](x)
        return self.upsample(self.downsample(x))


class Middle(nn.Module):
    """Blocks between encoder and quantiser, or between quantiser and decoder."""

    def __init__(self, channels: int):
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels)
        self.attn_1 = AttentionBlock(channels)
        self.block_2 = ResnetBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Encoder from images (B, 3, S, S) to features (B, z, s, s), s = S / 2^(levels-1); only the last level attends."""

    def __init__(self, channels: int, multipliers: list[int], blocks: int, z_channels: int):
        super().__init__()
        sizes = [channels] + [channels * m for m in multipliers]
        last = len(multipliers) - 1
        self.conv_in = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList(Level(sizes[i], sizes[i + 1], blocks, i == last) for i in range(last + 1))
        for level, size in zip(self.down[:-1], sizes[1:], strict=False):
            level.downsample = Downsample(size)
        self.mid = Middle(sizes[-1])
        self.norm_out = _norm(sizes[-1])
        self.conv_out = nn.Conv2d(sizes[-1], z_channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv_in(images)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Decoder from features (B, z, h, w) to images (B, 3, S, S); mirrors the encoder, coarsest level first."""

    def __init__(self, channels: int, multipliers: list[int], blocks: int, z_channels: int):
        super().__init__()
        sizes = [channels * m for m in multipliers]
        last = len(sizes) - 1
        self.conv_in = nn.Conv2d(z_channels, sizes[-1], 3, padding=1)
        self.mid = Middle(sizes[-1])
        self.up = nn.ModuleList(
            Level(sizes[min(i + 1, last)], sizes[i], blocks, i == last) for i in range(last, -1, -1)
        )
        for level, size in zip(self.up[:-1], reversed(sizes), strict=False):
            level.upsample = Upsample(size)
        self.norm_out = _norm(sizes[0])
        self.conv_out = nn.Conv2d(sizes[0], 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        x = self.mid(self.conv_in(features))
        for level in self.up:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class EmaCodebook(nn.Module):
    """Codebook whose entries follow the features assigned to them. Dead (rarely used) entries are moved.

    A dead entry moves to a random feature, drawn by its squared distance to the nearest entry like a k-means++ seed.
    Uniform draws would send most entries to the background, which covers half of a product photograph and needs few
    codes.

    Args:
        codes: number of entries.
        dim: width of an entry.
        decay: decay of the moving averages.
        revive_below: an entry is dead if it is used less than this share of uniform use (0: never).
    """

    weight: Tensor
    cluster_size: Tensor
    embed_avg: Tensor

    def __init__(self, codes: int, dim: int, decay: float = 0.97, revive_below: float = 0.05):
        super().__init__()
        self.decay = decay
        self.revive_below = revive_below
        self.register_buffer("weight", torch.randn(codes, dim))
        # With zero use, the first batch moves every entry to a real feature.
        self.register_buffer("cluster_size", torch.zeros(codes))
        self.register_buffer("embed_avg", torch.zeros(codes, dim))

    def nearest(self, features: Tensor) -> Tensor:
        """Returns the index (N,) of the entry nearest to each feature (N, dim) by squared distance."""
        distance = features.square().sum(1, keepdim=True) - 2 * features @ self.weight.T + self.weight.square().sum(1)
        return distance.argmin(1)

    @torch.no_grad()
    def update(self, features: Tensor, codes: Tensor) -> None:
        """Updates the moving averages from features (N, dim) and their codes (N,), over all ranks."""
        count = torch.bincount(codes, minlength=len(self.weight)).to(features.dtype)
        total = torch.zeros_like(self.weight).index_add_(0, codes, features)
        error = (features - self.weight[codes]).square().sum(1) + 1e-12
        candidates = features[torch.multinomial(error, len(self.weight), replacement=True)]
        if get_world_size() > 1:
            dist.all_reduce(count)
            dist.all_reduce(total)
            dist.broadcast(candidates, 0)
        self.cluster_size.lerp_(count, 1 - self.decay)
        self.embed_avg.lerp_(total, 1 - self.decay)
        # A revived entry counts as uniformly used; otherwise it would be dead again at the next batch.
        fresh = count.sum() / len(count)
        dead = self.cluster_size < self.revive_below * fresh
        # Move a few entries at a time: distances shrink where an entry has moved, so the next ones go elsewhere.
        dead[dead.nonzero()[max(1, len(dead) // 10) :]] = False
        self.cluster_size.masked_fill_(dead, fresh)
        self.embed_avg.copy_(torch.where(dead[:, None], candidates * fresh, self.embed_avg))
        used = self.cluster_size > 0
        self.weight[used] = self.embed_avg[used] / self.cluster_size[used, None]


class Quantizer(nn.Module):
    """Container that gives the codebook its name in FashionViL's files, `quantize.embedding`."""

    def __init__(self, codes: int, dim: int):
        super().__init__()
        self.embedding = EmaCodebook(codes, dim)


@registry.register_model("fashionfae_image_tokenizer")
class ImageTokenizer(BaseModel):
    """VQ-VAE that maps an image to a grid of codes and, if it has a decoder, back to pixels.

    Args:
        channels: width of the first level.
        multipliers: multiple of `channels` at each level.
        blocks: residual blocks per level.
        codes, code_dim: number and width of the codebook's entries.
        decoder: whether to build the decoder, which training and `decode` need and APIR does not.
        commitment: weight of the commitment loss (0.25 in arXiv 1711.00937).
    """

    DEFAULT_MODEL_TYPE = "mini"
    PRETRAINED_MODEL_CONFIG_DICT = {
        "mini": model_config_path("image_tokenizer_mini"),
        "base": model_config_path("image_tokenizer_base"),
    }

    def __init__(
        self,
        channels: int,
        multipliers: list[int],
        blocks: int,
        codes: int,
        code_dim: int,
        decoder: bool = True,
        commitment: float = 0.25,
    ):
        super().__init__()
        multipliers = list(multipliers)
        self.commitment = commitment
        self.num_codes = codes
        self.stride = 2 ** (len(multipliers) - 1)
        self.encoder = Encoder(channels, multipliers, blocks, code_dim)
        self.quant_conv = nn.Conv2d(code_dim, code_dim, 1)
        self.quantize = Quantizer(codes, code_dim)
        if decoder:
            self.post_quant_conv = nn.Conv2d(code_dim, code_dim, 1)
            self.decoder = Decoder(channels, multipliers, blocks, code_dim)

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> "ImageTokenizer":
        """Builds the model from a configuration section.

        Args:
            cfg: arguments of the constructor, and optionally `weights`, a checkpoint of an image tokenizer or of a
                model that contains one.

        Raises:
            UserError: the checkpoint cannot be read, or its weights do not fit.
        """
        sizes: dict[str, Any] = dict(cfg)
        names = ("channels", "multipliers", "blocks", "codes", "code_dim", "decoder", "commitment")
        model = cls(**{name: sizes[name] for name in names if name in sizes})
        if sizes.get("weights"):
            path = shipped("weights", sizes["weights"])
            state = read_checkpoint(path)["model"]
            part = {k.removeprefix("image_tokenizer."): v for k, v in state.items() if k.startswith("image_tokenizer.")}
            state = part or state
            if not sizes.get("decoder", True):
                state = {k: v for k, v in state.items() if not k.startswith(("decoder.", "post_quant_conv."))}
            load_weights(model, state, path)
        return model

    def features(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to features before quantisation (B, h, w, code_dim)."""
        # Channels-last images are faster on CPU (benchmarks/kernels.py) and slower on a GPU (an H200, 1.19 times).
        layout = torch.channels_last if images.device.type == "cpu" else torch.contiguous_format
        return self.quant_conv(self.encoder(images.contiguous(memory_format=layout))).permute(0, 2, 3, 1)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to codes (B, h*w), row by row."""
        features = self.features(images)
        return self.quantize.embedding.nearest(features.flatten(0, 2)).view(len(images), -1)

    def decode(self, codes: Tensor) -> Tensor:
        """Maps codes (B, h*w) of a square grid to images (B, 3, S, S), normalised like the input."""
        side = int(codes.shape[1] ** 0.5)
        entries = self.quantize.embedding.weight[codes].view(len(codes), side, side, -1)
        return self.decoder(self.post_quant_conv(entries.permute(0, 3, 1, 2)))

    def forward(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the loss of one batch and, in training mode, updates the codebook.

        With "quantize" False, the decoder reads the features before quantisation while the codebook follows them. A run
        that starts this way learns codes that distinguish colours. With quantisation from the first update, the early
        entries carry only brightness, and the model never learns colour.

        Args:
            samples: "image" (B, 3, S, S), and optionally "quantize" (default True).

        Returns:
            "loss", "loss_reconstruction" (mean squared error of pixels), "loss_commitment", and "codes_used", the share
            of the codebook that this batch uses.

        Raises:
            UserError: the images are missing or do not fit.
        """
        images = images_of(samples, "the image tokenizer")
        if any(side % self.stride for side in images.shape[2:]):
            sides = tuple(images.shape[2:])
            raise UserError(f"'image' is {sides} pixels, but its sides must be multiples of {self.stride}.")
        features = self.features(images)
        codebook = self.quantize.embedding
        flat = features.detach().flatten(0, 2).float()
        codes = codebook.nearest(flat)
        if self.training:
            codebook.update(flat, codes)
        quantized = codebook.weight[codes].view(features.shape)
        commitment = F.mse_loss(features.float(), quantized)
        quantize = samples.get("quantize", True)
        # Straight-through estimator: the decoder reads the entries, and its gradient skips to the encoder.
        decoded = features + (quantized - features).detach() if quantize else features
        reconstruction = F.mse_loss(self.decoder(self.post_quant_conv(decoded.permute(0, 3, 1, 2))), images)
        return {
            "loss": self.commitment * commitment + reconstruction if quantize else reconstruction,
            "loss_reconstruction": reconstruction,
            "loss_commitment": commitment,
            "codes_used": torch.tensor(codes.unique().numel() / self.num_codes),
        }
