"""Recall of text-guided retrieval by FashionIQ's protocol: R@10 and R@50 of each garment class, and their average.

Published work uses two galleries, whose figures are not comparable:

- `split`: all images of the class in the split, as in FashionIQ's own evaluation;
- `queried`: only images that are the reference or the target of a query (VAL, CVPR 2020). This gallery is smaller, so
  its figures are higher.

The reference image of a query stays in the gallery, as in most work on FashionIQ. Code derived from TIRG removes it,
which gives slightly higher figures. Among equal scores, wrong images rank first.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fashionfae_lavis.metrics.retrieval import finite, full_ranks

TOP = (10, 50)
GALLERIES = ("split", "queried")

Recalls = dict[str, dict[str, dict[str, float]]]  # gallery -> class -> "r10", "r50", "mean"


def composed_recall(
    query_embeds: ArrayLike,
    gallery_embeds: ArrayLike,
    reference: ArrayLike,
    target: ArrayLike,
    gallery_class: ArrayLike,
) -> Recalls:
    """Computes the recall of the queries against the images of their class, in both galleries.

    Args:
        query_embeds, gallery_embeds: (Q, D) and (N, D), compared by dot product.
        reference, target: (Q,) rows of the gallery; a query has the class of its target.
        gallery_class: (N,) names.

    Returns:
        For each of `GALLERIES`: {class: {"r10", "r50", "mean"}, ..., "mean": the same, averaged over classes}, in
        percent. A class without queries is left out.

    Raises:
        UserError: embeddings are NaN or infinite.
        ValueError: shapes do not agree.

    >>> composed_recall([[1.0]], [[1.0], [0.5]], [1], [0], ["dress", "dress"])["split"]
    {'dress': {'r10': 100.0, 'r50': 100.0, 'mean': 100.0}, 'mean': {'r10': 100.0, 'r50': 100.0, 'mean': 100.0}}
    """
    queries, images = finite(query_embeds, "query").numpy(), finite(gallery_embeds, "gallery").numpy()
    reference, target, classes = (np.asarray(index) for index in (reference, target, gallery_class))
    for index, embeds in ((reference, queries), (target, queries), (classes, images)):
        if index.shape != embeds.shape[:1]:
            raise ValueError(f"{len(embeds)} embeddings with rows or classes of shape {index.shape}")
    rows = np.arange(len(images))
    results: Recalls = {}
    for name, gallery, asked, members in _galleries(reference, target, classes):
        ranks, _ = full_ranks(queries[asked], images[members], target[asked], rows[members])
        recalls = {f"r{top}": 100 * float(np.mean(ranks <= top)) for top in TOP}
        results.setdefault(gallery, {})[name] = _with_mean(recalls)
    return {gallery: _with_average(result) for gallery, result in results.items()}


def chance_recall(reference: ArrayLike, target: ArrayLike, gallery_class: ArrayLike) -> Recalls:
    """Computes the expected recall of guessing k of the N images of a gallery; otherwise like `composed_recall`.

    >>> chance_recall([1], [0], ["dress"] * 40)["split"]
    {'dress': {'r10': 25.0, 'r50': 100.0, 'mean': 62.5}, 'mean': {'r10': 25.0, 'r50': 100.0, 'mean': 62.5}}
    """
    results: Recalls = {}
    for name, gallery, _, members in _galleries(*map(np.asarray, (reference, target, gallery_class))):
        size = int(members.sum())
        results.setdefault(gallery, {})[name] = _with_mean({f"r{top}": min(100.0, 100 * top / size) for top in TOP})
    return {gallery: _with_average(result) for gallery, result in results.items()}


def _galleries(
    reference: NDArray[np.int64], target: NDArray[np.int64], classes: NDArray[np.str_]
) -> Iterator[tuple[str, str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yields class, name of the gallery, and boolean masks of its queries (Q,) and its images (N,)."""
    query_class = classes[target]
    for name in np.unique(query_class).tolist():
        asked, split = query_class == name, classes == name
        queried = np.isin(np.arange(len(classes)), [reference[asked], target[asked]])
        yield from (
            (name, gallery, asked, members)
            for gallery, members in zip(GALLERIES, (split, split & queried), strict=True)
        )


def _with_mean(recalls: dict[str, float]) -> dict[str, float]:
    return {**recalls, "mean": sum(recalls.values()) / len(recalls)}


def _with_average(classes: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    keys = next(iter(classes.values()))
    return {**classes, "mean": {key: float(np.mean([figures[key] for figures in classes.values()])) for key in keys}}
