"""Product search as a task; evaluation/search.py describes it."""

from typing import Any

from lavis.common.registry import registry
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.evaluation.search import SearchResult, evaluate_product_search
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.tasks.base import FashionTask
from fashionfae_lavis.tasks.retrieval import require_embeddings


@registry.register_task("product_search")
class ProductSearchTask(FashionTask):
    """Task that searches products by short queries and by those of Marqo's fashion benchmark.

    `run.search_attributes` names the attributes of the short queries (default: all), and `run.search_roles` the
    attributes that the benchmark searches by, where their names do not show it.
    """

    trains = False
    split_protocol = ProductSplit

    def check_model(self, adapter: Adapter, arch: str) -> None:
        require_embeddings(adapter, arch)

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> SearchResult:
        attributes, roles = self.run.get("search_attributes"), self.run.get("search_roles")
        return evaluate_product_search(adapt(model), data_loader, attributes, roles)
