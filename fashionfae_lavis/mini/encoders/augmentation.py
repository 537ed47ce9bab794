"""Random changes of photographs (B, 3, H, W) with values in 0..1, each drawn for itself."""

import torch
import torch.nn.functional as F
from torch import Tensor

AREA = 0.2  # smallest share of a photograph that a crop keeps
JITTER = 0.3  # greatest relative change of brightness, contrast and saturation
ERASED = (0.15, 0.5)  # share of each side


def crop(images: Tensor, size: int) -> Tensor:
    """Cuts out random parts, mirrors half of them and resizes all to (B, 3, size, size)."""
    n, device = len(images), images.device
    area = torch.empty(n, device=device).uniform_(AREA, 1).sqrt()
    ratio = torch.empty(n, device=device).uniform_(-0.25, 0.25).exp()
    width, height = (area * ratio).clamp(max=1), (area / ratio).clamp(max=1)
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    zero = torch.zeros(n, device=device)
    x, y = ((2 * torch.rand(n, device=device) - 1) * (1 - side) for side in (width, height))
    maps = torch.stack([width * mirror, zero, x, zero, height, y], 1).view(n, 2, 3)
    return F.grid_sample(images, F.affine_grid(maps, [n, 3, size, size], align_corners=False), align_corners=False)


def jitter(images: Tensor) -> Tensor:
    """Changes brightness, contrast and saturation of each image."""
    factors = torch.empty(3, len(images), 1, 1, 1, device=images.device).uniform_(1 - JITTER, 1 + JITTER)
    images = images * factors[0]
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * factors[1] + mean
    grey = images.mean(1, keepdim=True)
    return ((images - grey) * factors[2] + grey).clamp(0, 1)


def erase(images: Tensor) -> Tensor:
    """Erases a random rectangle from half of the images."""
    n, size, device = len(images), images.shape[-1], images.device
    sides = torch.empty(2, n, 1, device=device).uniform_(*ERASED)
    starts = torch.rand(2, n, 1, device=device) * (1 - sides)
    at = torch.arange(size, device=device) / size
    rows, columns = ((at >= start) & (at < start + side) for start, side in zip(starts, sides, strict=True))
    erased = rows[:, :, None] & columns[:, None, :] & (torch.rand(n, 1, 1, device=device) < 0.5)
    return images.masked_fill(erased[:, None], 0.0)
