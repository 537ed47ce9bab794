"""Captioning: training of BLIP's captioner, and evaluation of captions or of FashionFAE's attribute completion."""

import json
from pathlib import Path
from typing import Any

from lavis.common.dist_utils import is_main_process
from lavis.common.registry import registry
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.captioning import CaptioningResult, evaluate_captions
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.tasks.base import FashionTask


@registry.register_task("fashion_captioning")
class FashionCaptioningTask(FashionTask):
    """Task that captions the first image of up to `run.caption_products` products (default 500) of the split.

    The beam search has LAVIS's settings `run.num_beams` (default 3), `run.max_len` (40) and `run.min_len` (8).
    evaluation/captioning.py describes the reference texts.
    """

    starts_from_checkpoint = True
    split_protocol = ProductSplit

    def check_model(self, adapter: Adapter, arch: str) -> None:
        if not adapter.writes and not adapter.predicts_words:
            raise UserError(
                f"model.arch: {arch} cannot write captions: set it to fashion_blip_caption or blip_caption, or to "
                "fashionfae, which completes attributes."
            )

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        return {"loss": model(samples)["loss"]}

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> CaptioningResult:
        return evaluate_captions(
            adapt(model),
            data_loader,
            products=int(self.run.get("caption_products", 500)),
            num_beams=int(self.run.get("num_beams", 3)),
            max_length=int(self.run.get("max_len", 40)),
            min_length=int(self.run.get("min_len", 8)),
        )

    def after_evaluation(self, val_result: Any, split_name: str, epoch: Any, **_: Any) -> CaptioningResult:
        """Writes the captions to `result/<split>_epoch<epoch>.json` in the run's folder, in LAVIS's format."""
        if is_main_process():
            captions = [{"caption": caption, "image_id": row} for row, caption in val_result.captions.items()]
            path = Path(registry.get_path("result_dir")) / f"{split_name}_epoch{epoch}.json"
            path.write_text(json.dumps(captions))
        return val_result
