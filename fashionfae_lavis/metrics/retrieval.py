"""Recall of image-text retrieval on fashion data: the full test, and the sub-test of Kaleido-BERT.

Both rank by dot product. Of equal scores (up to float32's rounding) the wrong candidates count first, so that
embeddings which are all the same are never taken for good ones. Results are in percent: `i2t_r1`, `i2t_r5`,
`i2t_r10` (image -> text), `t2i_r1`, ... (text -> image) and `mean`, the mean of these six.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.candidates import NO_CANDIDATE, Candidates, Draw, draw_lists

TOP = (1, 5, 10)
# Of unit vectors: above the rounding of their product in float32 (4e-7 was the most seen, at 32 to 2,048 dimensions).
ROUNDING = 1e-6


def full_test(
    image_embeds: ArrayLike, text_embeds: ArrayLike, image_product: ArrayLike, text_product: ArrayLike
) -> dict[str, float]:
    """Every image against every text and the other way round; a hit is any candidate of the same product.

    Takes embeddings (N, D) and (M, D) and the product ids (N,) and (M,); a query whose product has no
    candidate is a miss. Raises UserError for NaN or infinite embeddings and ValueError for lengths that do
    not agree.

    >>> full_test([[1, 0], [0, 1]], [[1, 0], [0, 1]], [7, 8], [7, 8])["i2t_r1"]
    100.0
    """
    return recalls(*full_ranks(image_embeds, text_embeds, image_product, text_product))


def full_ranks(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    image_product: ArrayLike,
    text_product: ArrayLike,
    tile: int = 1024,
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks (1 = best) that `full_test` is made of: of each image's first right text, of each text's first right image.

    A rank is 1 + the number of wrong candidates that score at least as much as the best right one. Each score is
    computed once for both directions, in tiles: memory beside the embeddings is O(tile^2). A query without a right
    candidate gets the largest integer. Errors as in `full_test`.
    """
    images, texts = finite(image_embeds, "image"), finite(text_embeds, "text")
    rows, columns = (
        torch.from_numpy(index).to(images.device)
        for index in _same_product(_ids(image_product, images), _ids(text_product, texts))
    )
    # First the right pairs, which are few: what each query has to reach.
    right = torch.cat(
        [(images[r] * texts[c]).sum(1) for r, c in zip(rows.split(tile), columns.split(tile), strict=True)]
    )
    i2t, t2i = (torch.zeros(len(side), dtype=torch.int64, device=images.device) for side in (images, texts))
    least = [
        images.new_full((len(side),), -torch.inf).scatter_reduce(0, index, right, "amax") - _rounding(images, texts)
        for side, index in ((images, rows), (texts, columns))
    ]
    # Then all pairs: who reaches it.
    for top in range(0, len(images), tile):
        here = slice(*torch.searchsorted(rows, torch.tensor([top, top + tile], device=rows.device)).tolist())
        for left in range(0, len(texts), tile):
            scores = images[top : top + tile] @ texts[left : left + tile].T
            inside = (columns[here] >= left) & (columns[here] < left + tile)
            # Only wrong candidates are counted.
            scores[rows[here][inside] - top, columns[here][inside] - left] = -torch.inf
            down, across = least[0][top : top + tile, None], least[1][left : left + tile]
            i2t[top : top + tile] += (scores >= down).sum(1, dtype=torch.int32)
            t2i[left : left + tile] += (scores >= across).sum(0, dtype=torch.int32)
    ranks = [
        torch.where(torch.isfinite(score), 1 + wrong, torch.iinfo(torch.int64).max).cpu().numpy()
        for wrong, score in zip((i2t, t2i), least, strict=True)
    ]
    return ranks[0], ranks[1]


def top_candidates(query: ArrayLike, candidate: ArrayLike, k: int, chunk: int = 1024) -> np.ndarray:
    """The min(k, M) best candidates of each query, best first: (Q, k) rows of `candidate` (M, D), for `query` (Q, D).

    Memory is O(chunk x M).
    """
    query, candidate = torch.as_tensor(query), torch.as_tensor(candidate)
    best = [(part @ candidate.T).topk(min(k, len(candidate)), dim=1).indices.cpu() for part in query.split(chunk)]
    return torch.cat(best).numpy()


def reranked(ranks: np.ndarray, right: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Ranks (Q,) after the first k candidates of each query were put into a new order.

    Args:
        ranks: before it.
        right: (Q, k) whether each of these candidates is of the query's product.
        scores: (Q, k) what orders them now.

    Returns:
        (Q,): where a right one is among the k, 1 + how many wrong ones of them score at least as much as the best
        right one; else the rank as before.

    Raises UserError for scores that are not finite.
    """
    if not np.isfinite(scores).all():
        raise UserError("the scores of ITM are not finite: the model has diverged, use an earlier checkpoint")
    best = np.where(right, scores, -np.inf).max(1, keepdims=True)
    return np.where(right.any(1), 1 + ((scores >= best) & ~right).sum(1), ranks)


def sub_test(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    image_product: ArrayLike,
    text_product: ArrayLike,
    image_subcategory: ArrayLike,
    text_subcategory: ArrayLike,
    **drawing,
) -> dict[str, float]:
    """Each query ranks its positive among negatives of the same subcategory and other products.

    The protocol of Kaleido-BERT (arXiv 2103.16110), with seeded draws; `drawing` are the keywords of `draw_lists`.
    Returns and errors as in `sub_test_of`.
    """
    _ids(image_product, finite(image_embeds, "image"))
    _ids(text_product, finite(text_embeds, "text"))
    draws = draw_lists(image_product, text_product, image_subcategory, text_subcategory, **drawing)
    return sub_test_of(image_embeds, text_embeds, draws)


def sub_test_of(image_embeds: ArrayLike, text_embeds: ArrayLike, draws: Sequence[Draw]) -> dict[str, float]:
    """The sub-test on given lists, whose rows are those of the embeddings (N, D) and (M, D).

    Returns the recalls' means over the draws, `<key>_std` (their population standard deviation), `queries` (of all
    draws in both directions) and `short_queries`: how many of these had too few negatives. Raises UserError for NaN
    or infinite embeddings.
    """
    images, texts = finite(image_embeds, "image"), finite(text_embeds, "text")
    results = [recalls(list_ranks(images, texts, draw.i2t), list_ranks(texts, images, draw.t2i)) for draw in draws]
    values = {key: np.array([result[key] for result in results]) for key in results[0]}
    return {
        **{key: float(value.mean()) for key, value in values.items()},
        **{f"{key}_std": float(value.std()) for key, value in values.items()},
        "queries": sum(len(lists.query) for draw in draws for lists in draw),
        "short_queries": sum(lists.short for draw in draws for lists in draw),
    }


def list_ranks(query: torch.Tensor, candidate: torch.Tensor, lists: Candidates, chunk: int = 64) -> np.ndarray:
    """Rank (1 = best) of the positive in each list; embeddings of queries (N, D), of candidates (M, D)."""
    rows, columns = (torch.from_numpy(index).to(query.device) for index in (lists.query, lists.candidate))
    rounding = _rounding(query, candidate)
    ranks = []
    for part, listed in zip(rows.split(chunk), columns.split(chunk), strict=True):
        scores = (query[part, None] * candidate[listed.clamp(min=0)]).sum(-1)
        wrong = (scores[:, 1:] >= scores[:, :1] - rounding) & (listed[:, 1:] != NO_CANDIDATE)
        ranks.append(1 + wrong.sum(1).cpu())
    return torch.cat(ranks).numpy() if ranks else np.zeros(0, dtype=np.int64)


def recalls(i2t: np.ndarray, t2i: np.ndarray) -> dict[str, float]:
    """Ranks of image queries and of text queries -> the recalls in percent, and their mean."""
    result = {
        f"{direction}_r{top}": 100 * float(np.mean(ranks <= top))
        for direction, ranks in (("i2t", i2t), ("t2i", t2i))
        for top in TOP
    }
    return result | {"mean": sum(result.values()) / len(result)}


def _same_product(image_ids: np.ndarray, text_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (row, column) of equal ids, ordered by row."""
    order = np.argsort(text_ids, kind="stable")
    first, last = (np.searchsorted(text_ids[order], image_ids, side) for side in ("left", "right"))
    counts = last - first
    rows = np.repeat(np.arange(len(image_ids)), counts)
    # 0, 1, ... within each image's run of texts
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, order[np.repeat(first, counts) + within]


def _rounding(images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """How far apart two scores may be and still count as equal."""
    return ROUNDING * images.norm(dim=1).max() * texts.norm(dim=1).max()


def finite(embeds: ArrayLike, name: str) -> torch.Tensor:
    """The embeddings (N, D) as float32. Raises UserError if one is NaN or infinite, ValueError for another shape."""
    embeds = torch.as_tensor(embeds).float()
    if embeds.ndim != 2 or len(embeds) == 0:
        raise ValueError(f"{name} embeddings must be of shape (N, D) with N > 0, not {tuple(embeds.shape)}")
    if not torch.isfinite(embeds).all():
        raise UserError(f"{name} embeddings are not finite: the model has diverged, use an earlier checkpoint")
    return embeds


def _ids(ids: ArrayLike, embeds: torch.Tensor) -> np.ndarray:
    ids = torch.as_tensor(ids).cpu().numpy()
    if ids.shape != embeds.shape[:1]:
        raise ValueError(f"{len(embeds)} embeddings with ids of shape {ids.shape}")
    return ids
