"""Search for products by text: precision, recall and reciprocal rank among the first ten products.

A product scores as its best image. Several products may be right for a query. Among scores that are equal up to float32
rounding, wrong products rank first, as in metrics/retrieval.py. Figures are in percent.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fashionfae_lavis.metrics.retrieval import finite, rounding

TOP = 10  # products that are looked at; a right product after them counts as not found


def right_ranks(
    query_embeds: ArrayLike,
    image_embeds: ArrayLike,
    image_product: ArrayLike,
    answers: ArrayLike,
    chunk: int = 64,
) -> NDArray[np.int64]:
    """Ranks (1 = best) the right products of each query, best first.

    The rank of the j-th right product is j + the number of wrong products that score at least as high. It is exact up
    to ten. Memory is O(chunk x (N + P)).

    Args:
        query_embeds: (Q, D).
        image_embeds: (N, D).
        image_product: (N,), the index of the product that each image shows.
        answers: (P,), the index of the query that each product is right for, -1 for none.
        chunk: number of queries at a time.

    Returns:
        Ranks (Q, min(10, P)), ascending. A query with fewer right products has the largest integer in their place.

    Raises:
        UserError: embeddings are NaN or infinite.

    >>> images = [[0.9], [0.5], [0.7], [0.1]]
    >>> right_ranks([[1.0]], images, image_product=[0, 1, 1, 2], answers=[-1, 0, 0])[0, :2].tolist()
    [2, 3]
    """
    queries, images = finite(query_embeds, "text"), finite(image_embeds, "image")
    owner, right_for = torch.as_tensor(image_product), torch.as_tensor(answers)
    top, slack = min(TOP, len(right_for)), rounding(images, queries)
    ranks = []
    for numbers in torch.split(torch.arange(len(queries)), chunk):
        scores = queries.new_full((len(numbers), len(right_for)), -torch.inf)
        scores.scatter_reduce_(1, owner.expand(len(numbers), -1), queries[numbers] @ images.T, "amax")
        right = right_for == numbers[:, None]
        best = scores.masked_fill(~right, -torch.inf).topk(top).values
        # The ten best wrong products suffice: after all of them, a right product is not among the first ten.
        wrong = scores.masked_fill(right, -torch.inf).topk(top).values
        above = (wrong[:, None] >= best[:, :, None] - slack).sum(2)
        rank = torch.arange(1, top + 1) + above
        ranks.append(torch.where(best.isfinite(), rank, torch.iinfo(torch.int64).max).numpy())
    return np.concatenate(ranks)


def precision(ranks: NDArray[np.int64], k: int) -> float:
    """Computes P@k: the share of right products among the first k, averaged over the queries.

    >>> precision(np.array([[1, 4], [2, 3]]), 3)
    50.0
    """
    return 100 * float(np.mean((ranks <= k).sum(1) / k))


def recall(ranks: NDArray[np.int64], right: NDArray[np.int64], k: int) -> float:
    """Computes Recall@k: the share of a query's right products (Q,) among the first k, averaged over the queries.

    >>> recall(np.array([[1, 4], [2, 3]]), np.array([2, 4]), 3)
    50.0
    """
    return 100 * float(np.mean((ranks <= k).sum(1) / right))


def mean_reciprocal_rank(ranks: NDArray[np.int64]) -> float:
    """Computes MRR@10: 1 / the rank of the first right product, 0 after rank 10, averaged over the queries.

    >>> mean_reciprocal_rank(np.array([[1, 4], [2, 3], [11, 12]]))
    50.0
    """
    first = ranks[:, 0]
    return 100 * float(np.mean(np.where(first <= TOP, 1 / first, 0)))
