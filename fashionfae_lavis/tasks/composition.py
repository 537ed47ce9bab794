"""Text-guided retrieval: fine-tuning and evaluation."""

from typing import Any

from lavis.common.registry import registry
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import CompositionSplit, RequestSplit
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.composition import CompositionResult, evaluate_composition
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.tasks.base import FashionTask


@registry.register_task("fashion_composition")
class FashionCompositionTask(FashionTask):
    """Task that trains by batch-based classification (the model's loss) and evaluates by recall of target images."""

    starts_from_checkpoint = True
    split_protocol = CompositionSplit
    train_protocol = RequestSplit

    def check_model(self, adapter: Adapter, arch: str) -> None:
        if not adapter.composes:
            raise UserError(
                f"model.arch: {arch} does not combine an image and a text into a query: set it to "
                "fashionfae_composition."
            )

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> CompositionResult:
        return evaluate_composition(adapt(model), data_loader)
