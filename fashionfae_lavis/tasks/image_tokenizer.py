"""Training of the image tokenizer, the first stage of pre-training."""

import torch
from lavis.common.registry import registry
from lavis.tasks.base_task import BaseTask
from torch import Tensor


@registry.register_task("fashionfae_image_tokenizer")
class ImageTokenizerTask(BaseTask):
    """Trains a VQ-VAE on images alone; evaluates by reconstruction error and the share of codes in use.

    The first `run.quantize_after` updates (default 0) train it as a plain autoencoder, see ImageTokenizer.forward.
    """

    def __init__(self, quantize_after: int):
        super().__init__()
        self.quantize_after = quantize_after

    @classmethod
    def setup_task(cls, cfg):
        return cls(int(cfg.run_cfg.get("quantize_after", 0)))

    def train_step(self, model, samples: dict) -> dict[str, Tensor]:
        return model({**samples, "quantize": samples["iters"] >= self.quantize_after})

    @torch.no_grad()
    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> dict[str, float]:
        """Returns reconstruction (mean squared error, and as a share of the images' variance), codes_used (share of
        the codebook that the split uses), most_frequent_code (its share of all places), agg_metrics."""
        squared = total = 0.0
        variance = 0.0
        counts = torch.zeros(model.num_codes, dtype=torch.long)
        for samples in data_loader:
            images = samples["image"].to(model.device)
            codes = model.encode(images)
            counts += torch.bincount(codes.flatten().cpu(), minlength=model.num_codes)
            squared += (model.decode(codes) - images).square().sum().item()
            variance += (images - images.mean((0, 2, 3), keepdim=True)).square().sum().item()
            total += images.numel()
        return {
            "reconstruction": squared / total,
            "reconstruction_share": squared / variance,
            "codes_used": (counts > 0).float().mean().item(),
            "most_frequent_code": (counts.max() / counts.sum()).item(),
            "agg_metrics": -squared / total,
        }

    def after_evaluation(self, val_result, split_name, epoch, **kwargs) -> dict:
        return val_result

    def format(self, results: dict) -> str:
        """One line for people."""
        return (
            f"Image tokenizer: {100 * results['codes_used']:.0f} % of the codes in use, the most frequent one at "
            f"{100 * results['most_frequent_code']:.0f} % of the places; reconstruction leaves "
            f"{100 * results['reconstruction_share']:.1f} % of the variance of the pixels."
        )
