"""Reconstruction by the image tokenizer, and the use of its codebook."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer


@dataclass(frozen=True, eq=False)
class ImageTokenizerResult(EvaluationResult):
    """Reconstruction error and codebook use of an image tokenizer; shares are in 0..1.

    Attributes:
        reconstruction: mean squared error of the pixels.
        reconstruction_share: mean squared error as a share of the images' variance.
        codes_used: share of the codebook that the split uses.
        most_frequent_code: share of all patches that have the most frequent code.
    """

    reconstruction: float
    reconstruction_share: float
    codes_used: float
    most_frequent_code: float

    def to_json(self) -> dict[str, Any]:
        return {
            "reconstruction": self.reconstruction,
            "reconstruction_share": self.reconstruction_share,
            "codes_used": self.codes_used,
            "most_frequent_code": self.most_frequent_code,
            "agg_metrics": -self.reconstruction,
        }

    def table(self) -> str:
        return (
            f"Image tokenizer: {100 * self.codes_used:.0f} % of the codes in use, the most frequent one in "
            f"{100 * self.most_frequent_code:.0f} % of the patches; reconstruction leaves "
            f"{100 * self.reconstruction_share:.1f} % of the variance of the pixels."
        )


@torch.no_grad()
def evaluate_image_tokenizer(model: ImageTokenizer, data_loader: DataLoader[Any]) -> ImageTokenizerResult:
    """Reconstructs every image of a data loader and measures error and codebook use."""
    squared = variance = 0.0
    pixels = 0
    counts = torch.zeros(model.num_codes, dtype=torch.long)
    for samples in data_loader:
        images = samples["image"].to(model.device)
        codes = model.encode(images)
        counts += torch.bincount(codes.flatten().cpu(), minlength=model.num_codes)
        squared += (model.decode(codes) - images).square().sum().item()
        variance += (images - images.mean((0, 2, 3), keepdim=True)).square().sum().item()
        pixels += images.numel()
    return ImageTokenizerResult(
        reconstruction=squared / pixels,
        reconstruction_share=squared / variance,
        codes_used=(counts > 0).float().mean().item(),
        most_frequent_code=(counts.max() / counts.sum()).item(),
    )
