"""The attribute probe as a task; evaluation/attribute_probe.py describes it."""

from typing import Any

from lavis.common.registry import registry
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.evaluation.attribute_probe import ProbeResult, evaluate_attribute_probe
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.tasks.base import FashionTask
from fashionfae_lavis.tasks.retrieval import require_embeddings


@registry.register_task("attribute_probe")
class AttributeProbeTask(FashionTask):
    """Task that asks about up to `run.probe_products` products (default 500); `run.seed` draws the pairs."""

    trains = False
    split_protocol = ProductSplit
    evaluation_kind = "attribute probe"

    @property
    def products(self) -> int:
        """Maximum number of products to ask about."""
        return int(self.run.get("probe_products", 500))

    @property
    def seed(self) -> int:
        """Seed of the random pairs."""
        return int(self.run.get("seed", 42))

    def check_model(self, adapter: Adapter, arch: str) -> None:
        require_embeddings(adapter, arch)

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> ProbeResult:
        return evaluate_attribute_probe(adapt(model), data_loader, self.products, self.seed)
