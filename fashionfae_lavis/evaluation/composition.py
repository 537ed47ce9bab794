"""Text-guided retrieval: a query of an image and a modifying text ranks target images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import CompositionSplit
from fashionfae_lavis.evaluation.embedding import embed_batches, embed_text_list
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.metrics.composition import chance_recall, composed_recall
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.reports.composition_sheet import ComposedQuery, draw_composition_sheet
from fashionfae_lavis.reports.tables import composition_table

COMPOSED = "image + text"


@dataclass(frozen=True, eq=False)
class CompositionResult(EvaluationResult):
    """Recalls of text-guided retrieval in percent; metrics/composition.py defines the galleries.

    Attributes:
        recalls: recalls of the queries "image + text", "image alone" and "text alone", and of "chance".
        split: the split.
        queries: unit-length embeddings (Q, D) of the composed queries.
        gallery: unit-length embeddings (N, D) of the images.
    """

    recalls: Mapping[str, dict[str, dict[str, dict[str, float]]]]
    split: CompositionSplit
    queries: NDArray[np.float32]
    gallery: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        return {**self.recalls, "agg_metrics": self.recalls[COMPOSED]["split"]["mean"]["mean"]}

    def table(self) -> str:
        return composition_table(self.recalls)

    def draw(self, folder: Path) -> dict[str, str]:
        """Draws five random queries with the highest-ranked images of their garment class."""
        path = folder / "retrieval.png"
        chosen = np.random.default_rng(0).choice(len(self.queries), size=min(5, len(self.queries)), replace=False)
        draw_composition_sheet([self._composed(int(query)) for query in chosen], path)
        return {"retrieval_sheet": str(path)}

    def _composed(self, query: int) -> ComposedQuery:
        split, target = self.split, self.split.target[query]
        members = np.flatnonzero(split.row_class == split.row_class[target])
        found = members[np.argsort(-(self.gallery[members] @ self.queries[query]), kind="stable")[:5]]

        def photograph(row: int) -> Any:
            return split.photograph(split.keys[row])

        return ComposedQuery(
            reference=photograph(split.reference[query]),
            target=photograph(target),
            text=split.texts[query],
            images=[(photograph(row), row == target) for row in found],
        )


def evaluate_composition(adapter: Adapter, data_loader: DataLoader[Any]) -> CompositionResult:
    """Ranks the images of a `CompositionSplit` for each of its queries; the processes share the work.

    Args:
        adapter: adapter of a model with `composes`.
        data_loader: the images of the split, one item per image.

    Raises:
        UserError: the embeddings are not finite.
    """
    split = cast(CompositionSplit, data_loader.dataset)
    # The reference images are part of the gallery, so each image is encoded only once.
    images = embed_batches(data_loader, lambda samples: adapter.image_part(samples["image"]))
    texts = embed_text_list(list(split.texts), adapter.text_part)
    reference = images[split.reference]
    gallery = _unit_length(images)
    queries = {COMPOSED: reference + texts, "image alone": reference, "text alone": texts}
    rows = split.reference, split.target, split.row_class
    recalls = {name: composed_recall(_unit_length(query), gallery, *rows) for name, query in queries.items()}
    recalls["chance"] = chance_recall(*rows)
    return CompositionResult(recalls, split, _unit_length(queries[COMPOSED]), gallery)


def _unit_length(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
    return unit
