"""Training of the image tokenizer, the first stage of pre-training."""

from typing import Any

from lavis.common.registry import registry
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.image_tokenizer import ImageTokenizerResult, evaluate_image_tokenizer
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.tasks.base import FashionTask


@registry.register_task("fashionfae_image_tokenizer")
class ImageTokenizerTask(FashionTask):
    """Task that trains a VQ-VAE on images and evaluates it by reconstruction error and the share of codes in use.

    The first `run.quantize_after` updates (default 0) train it as a plain autoencoder; see `ImageTokenizer.forward`.
    """

    def check_model(self, adapter: Adapter, arch: str) -> None:
        if not adapter.tokenizes_images:
            raise UserError(
                f"model.arch: {arch} is no image tokenizer: set it to fashionfae_image_tokenizer, or run.task to the "
                "task of this model."
            )

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        quantize = samples["iters"] >= int(self.run.get("quantize_after", 0))
        return model({**samples, "quantize": quantize})

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> ImageTokenizerResult:
        return evaluate_image_tokenizer(model, data_loader)
