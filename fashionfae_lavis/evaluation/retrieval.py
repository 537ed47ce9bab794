"""Cross-modal retrieval: full test and sub-test, in both text modes; metrics/retrieval.py defines the protocols."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.evaluation.candidates_file import candidate_lists, lists_digest
from fashionfae_lavis.evaluation.embedding import embed_images, embed_texts, first_rows
from fashionfae_lavis.evaluation.reranking import rerank
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.metrics.retrieval import (
    equal_text_ranks,
    full_ranks,
    recalls,
    shared_texts,
    shares_of_products,
    sub_test_of,
    text_groups,
)
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.reports.retrieval_sheet import RetrievedProduct, draw_retrieval_sheet
from fashionfae_lavis.reports.tables import grounding_table, retrieval_table
from fashionfae_lavis.text.product_text import TEXT_MODES, fashion_text

WHOLE = TEXT_MODES[-1]  # description and attributes: for re-ranking, pictures and choosing the best checkpoint


@dataclass(frozen=True, eq=False)
class RetrievalResult(EvaluationResult):
    """Recalls of retrieval in percent.

    Attributes:
        recalls: text mode -> "full" and "sub". With re-ranking, the whole text also has "reranked" with "k_test", the
            number of re-ranked candidates. Only a product's own text and images are right.
        equal_texts: text mode -> the same recalls if products with equal texts are equal answers, the number of
            "products", and "shared_products", how many of them share their text with another product.
        sub_test_lists: digest of the sub-test's candidate lists.
        split: the split.
        images: unit-length embeddings (N, D).
        texts: unit-length embeddings (M, D) of the products' whole texts.
        found: text mode -> the products' shares in the recalls of the full test, see `shares_of_products`.
        grounding: "aetp" and "apir", see evaluation/grounding.py; empty if not measured.
    """

    recalls: Mapping[str, dict[str, dict[str, float]]]
    equal_texts: Mapping[str, dict[str, Any]]
    sub_test_lists: str
    split: ProductSplit
    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    found: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    grounding: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """R@1 of random guessing on the full test, in percent.

        One of M texts belongs to an image's product, and one of M products has the image that ranks first for a text.
        """
        return 100.0 / len(self.texts)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.recalls,
            "equal_texts": self.equal_texts,
            "chance": self.chance,
            "sub_test_lists": self.sub_test_lists,
            "agg_metrics": self.recalls[WHOLE]["full"]["mean"],
            **self.grounding,
        }

    def table(self) -> str:
        recalls = retrieval_table(self.recalls, self.chance, self.equal_texts)
        return "\n\n".join(filter(None, (recalls, grounding_table(self.grounding))))

    def hits(self) -> dict[str, NDArray[np.float32]]:
        return {f"retrieval.{mode}.full.mean": shares for mode, shares in self.found.items()}

    def draw(self, folder: Path) -> dict[str, str]:
        """Draws four random products with the texts and images that they retrieve."""
        path = folder / "retrieval.png"
        chosen = np.random.default_rng(0).choice(len(self.texts), size=min(4, len(self.texts)), replace=False)
        draw_retrieval_sheet([self._retrieved(int(product)) for product in chosen], path)
        return {"retrieval_sheet": str(path)}

    def _retrieved(self, product: int) -> RetrievedProduct:
        """Returns the three best texts for a product's first image and the five best images for its text."""
        split, row = self.split, first_rows(self.split)[product]
        texts = np.argsort(-(self.texts @ self.images[row]), kind="stable")[:3]
        images = np.argsort(-(self.images @ self.texts[product]), kind="stable")[:5]
        description = fashion_text(split.product_fields(product), "description")
        return RetrievedProduct(
            image=split.photograph(row),
            text=description.removeprefix("the image description is "),
            texts=[(split.product_fields(best)["title"], best == product) for best in texts],
            images=[(split.photograph(best), split.row_product[best] == product) for best in images],
        )


def evaluate_retrieval(
    adapter: Adapter, data_loader: DataLoader[Any], candidates: str | Path | None = None, k_test: int = 0
) -> RetrievalResult:
    """Measures image-to-text and text-to-image recall; the processes share the work.

    Args:
        adapter: adapter of a model with `embeds`, and with `matches` if `k_test` is not 0.
        data_loader: the images of a `ProductSplit`, one item per image.
        candidates: file of the sub-test's candidate lists, see candidates_file.py; None draws the same lists.
        k_test: number of full-test candidates that the ITM head re-ranks; 0 for no re-ranking.

    Raises:
        UserError: the embeddings or scores are not finite, or the lists cannot be used.
    """
    split = cast(ProductSplit, data_loader.dataset)
    draws = candidate_lists(split, candidates)
    products = np.arange(len(split.product_ids))
    sides = split.row_product, products
    images = embed_images(adapter, data_loader)
    results: dict[str, dict[str, dict[str, float]]] = {}
    equal: dict[str, dict[str, Any]] = {}
    found = {}
    for mode in TEXT_MODES:  # WHOLE comes last
        texts = [fashion_text(split.product_fields(i), mode) for i in products]
        embeds = images, embed_texts(adapter, texts)
        ranks = full_ranks(*embeds, *sides)
        results[mode] = {"full": recalls(*ranks), "sub": sub_test_of(*embeds, draws)}
        found[mode] = shares_of_products(*ranks, split.row_product)
        # Equal texts are equal answers, so the group of its text replaces the product.
        group = text_groups(texts)
        groups, shared = (group[split.row_product], group), shared_texts(group)
        equal_ranks = equal_text_ranks(*embeds, split.row_product, group) if shared else ranks
        equal[mode] = {
            "products": len(products),
            "shared_products": shared,
            "full": recalls(*equal_ranks),
            "sub": sub_test_of(*embeds, draws, groups) if shared else results[mode]["sub"],
        }
    if k_test:
        reranking = rerank(adapter, data_loader, texts, embeds, k_test)
        results[WHOLE]["reranked"] = {**recalls(*reranking.ranks(sides, ranks)), "k_test": k_test}
        equal[WHOLE]["reranked"] = {**recalls(*reranking.ranks(groups, equal_ranks)), "k_test": k_test}
    return RetrievalResult(results, equal, lists_digest(draws), split, *embeds, found)
