"""Recall of image-text retrieval on fashion data: the full test, and the sub-test of Kaleido-BERT.

Both rank by dot product. Only a product's own texts and images are right, even if another product has the same text.
`equal_text_ranks`, and `sub_test_of` with `groups`, take equal texts for equal answers instead. Among scores that are
equal up to float32 rounding, wrong candidates rank first, so identical embeddings score badly. Results are in percent:
`i2t_r1`, `i2t_r5`, `i2t_r10` (image -> text), `t2i_r1`, ... (text -> image) and `mean`, the mean of these six.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.candidates import NO_CANDIDATE, Candidates, Draw, draw_lists

TOP = (1, 5, 10)
# For unit vectors. It exceeds the float32 rounding of their product (at most 4e-7 in tests of 32 to 2,048 dimensions).
ROUNDING = 1e-6


def full_test(
    image_embeds: ArrayLike, text_embeds: ArrayLike, image_product: ArrayLike, text_product: ArrayLike
) -> dict[str, float]:
    """Ranks all texts for every image and all images for every text; a hit is any candidate of the same product.

    A query whose product has no candidate is a miss.

    Args:
        image_embeds, text_embeds: (N, D) and (M, D).
        image_product, text_product: (N,) and (M,) product ids.

    Raises:
        UserError: embeddings are NaN or infinite.
        ValueError: lengths do not agree.

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
    copies: ArrayLike | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Computes the rank (1 = best) of each image's first right text (N,) and of each text's first right image (M,).

    A rank is 1 + the number of wrong candidates that score at least as high as the best right candidate. A query
    without a right candidate gets the largest integer. Each score is computed once for both directions, in tiles, so
    memory is O(tile^2) on top of the embeddings. Takes the arguments and raises the errors of `full_test`.

    Args:
        tile: images and texts that are scored at a time.
        copies: (M,), how many candidates each text stands for; None for one each.
    """
    images, texts = finite(image_embeds, "image"), finite(text_embeds, "text")
    weight = None if copies is None else torch.as_tensor(copies).to(images.device)
    rows, columns = (
        torch.from_numpy(index).to(images.device)
        for index in _same_product(_ids(image_product, images), _ids(text_product, texts))
    )
    # First score the few right pairs. Their best score is the threshold for wrong candidates.
    parts = zip(torch.split(rows, tile), torch.split(columns, tile), strict=True)
    right = torch.cat([(images[r] * texts[c]).sum(1) for r, c in parts])
    i2t, t2i = (torch.zeros(len(side), dtype=torch.int64, device=images.device) for side in (images, texts))
    least = [
        images.new_full((len(side),), -torch.inf).scatter_reduce(0, index, right, "amax") - rounding(images, texts)
        for side, index in ((images, rows), (texts, columns))
    ]
    # Then count the pairs that reach it.
    for top in range(0, len(images), tile):
        here = slice(*torch.searchsorted(rows, torch.tensor([top, top + tile], device=rows.device)).tolist())
        for left in range(0, len(texts), tile):
            scores = images[top : top + tile] @ texts[left : left + tile].T
            inside = (columns[here] >= left) & (columns[here] < left + tile)
            # Only wrong candidates count.
            scores[rows[here][inside] - top, columns[here][inside] - left] = -torch.inf
            down, across = least[0][top : top + tile, None], least[1][left : left + tile]
            above = scores >= down
            i2t[top : top + tile] += (above if weight is None else above * weight[left : left + tile]).sum(1)
            t2i[left : left + tile] += (scores >= across).sum(0, dtype=torch.int32)
    ranks = [
        torch.where(torch.isfinite(score), 1 + wrong, torch.iinfo(torch.int64).max).cpu().numpy()
        for wrong, score in zip((i2t, t2i), least, strict=True)
    ]
    return ranks[0], ranks[1]


def text_groups(texts: Iterable[str]) -> NDArray[np.int64]:
    """Numbers the texts (M,) so that equal texts have equal numbers.

    >>> text_groups(["red dress", "blue jeans", "red dress"]).tolist()
    [0, 1, 0]
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)


def shared_texts(group: NDArray[np.int64]) -> int:
    """Counts the texts that occur more than once, by the numbers of `text_groups`.

    >>> shared_texts(np.array([0, 1, 0, 2]))
    2
    """
    return int((np.bincount(group)[group] > 1).sum())


def equal_text_ranks(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    image_product: ArrayLike,
    group: NDArray[np.int64],
    tile: int = 1024,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Computes `full_ranks` with equal texts as equal answers.

    For an image, every text that equals its product's is right. For a text, the images of every product with this text
    are right. Each different text is scored once, so memory and time do not grow with the number of equal pairs.

    Args:
        image_embeds: (N, D).
        text_embeds: (M, D), one text for each product; equal texts have equal embeddings.
        image_product: (N,), the row of each image's product among the texts.
        group: (M,), the result of `text_groups`.
        tile: as in `full_ranks`.

    Returns:
        Ranks of the images (N,) and of the texts (M,).
    """
    _, first, inverse, copies = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    texts, own = torch.as_tensor(text_embeds)[torch.from_numpy(first)], inverse[np.asarray(image_product)]
    i2t, t2i = full_ranks(image_embeds, texts, own, np.arange(len(first)), tile, copies)
    return i2t, t2i[inverse]


def top_candidates(query: ArrayLike, candidate: ArrayLike, k: int, chunk: int = 1024) -> NDArray[np.int64]:
    """Finds the best candidates of each query, best first; memory is O(chunk x M).

    Args:
        query, candidate: embeddings (Q, D) and (M, D).
        k: number of candidates.
        chunk: number of queries at a time.

    Returns:
        Rows of `candidate`, (Q, min(k, M)).

    >>> top_candidates([[1.0]], [[0.1], [0.9], [0.5]], k=2).tolist()
    [[1, 2]]
    """
    query, candidate = torch.as_tensor(query), torch.as_tensor(candidate)
    parts = torch.split(query, chunk)
    best = [(part @ candidate.T).topk(min(k, len(candidate)), dim=1).indices.cpu() for part in parts]
    return torch.cat(best).numpy()


def reranked(
    ranks: NDArray[np.int64], right: NDArray[np.bool_], scores: NDArray[np.floating[Any]]
) -> NDArray[np.int64]:
    """Computes the ranks after new scores have reordered the first k candidates of each query.

    Args:
        ranks: (Q,), the ranks before reordering.
        right: (Q, k), whether each of these candidates belongs to the query's product.
        scores: (Q, k), the new scores.

    Returns:
        Ranks (Q,): 1 + the number of wrong candidates among the k that score at least as high as the best right one,
        or the old rank if none of the k is right.

    Raises:
        UserError: scores are not finite.

    >>> right = np.array([[False, True], [False, False]])
    >>> reranked(np.array([2, 7]), right, np.array([[0.1, 0.9], [0.5, 0.4]])).tolist()
    [1, 7]
    """
    if not np.isfinite(scores).all():
        raise UserError("The ITM scores are not finite: the model has diverged, so use an earlier checkpoint.")
    best = np.where(right, scores, -np.inf).max(1, keepdims=True)
    return np.where(right.any(1), 1 + ((scores >= best) & ~right).sum(1), ranks)


def sub_test(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    image_product: ArrayLike,
    text_product: ArrayLike,
    image_subcategory: ArrayLike,
    text_subcategory: ArrayLike,
    **drawing: int,
) -> dict[str, float]:
    """Ranks the positive of each query among negatives of the same subcategory and other products.

    This is the protocol of Kaleido-BERT (arXiv 2103.16110), with seeded draws. Returns and raises the same as
    `sub_test_of`.

    Args:
        image_embeds, text_embeds, image_product, text_product: as in `full_test`.
        image_subcategory, text_subcategory: (N,) and (M,).
        **drawing: keyword arguments of `draw_lists`.
    """
    _ids(image_product, finite(image_embeds, "image"))
    _ids(text_product, finite(text_embeds, "text"))
    draws = draw_lists(image_product, text_product, image_subcategory, text_subcategory, **drawing)
    return sub_test_of(image_embeds, text_embeds, draws)


def sub_test_of(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    draws: Sequence[Draw],
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> dict[str, float]:
    """Evaluates the sub-test on given lists.

    Args:
        image_embeds, text_embeds: (N, D) and (M, D).
        draws: candidate lists, as rows of the embeddings.
        groups: numbers (N,) of the texts of the images' products and (M,) of the texts, see `text_groups`. Candidates
            with the number of the query are right. None: the positive alone is right.

    Returns:
        The mean of each recall over the draws, "<recall>_std" (its population standard deviation), "queries" (number
        in all draws and both directions) and "short_queries" (number of queries with too few negatives).

    Raises:
        UserError: embeddings are NaN or infinite.
    """
    images, texts = finite(image_embeds, "image"), finite(text_embeds, "text")
    of_images, of_texts = groups or (None, None)
    results = [
        recalls(
            list_ranks(images, texts, draw.i2t, _right(draw.i2t, of_images, of_texts)),
            list_ranks(texts, images, draw.t2i, _right(draw.t2i, of_texts, of_images)),
        )
        for draw in draws
    ]
    values = {key: np.array([result[key] for result in results]) for key in results[0]}
    return {
        **{key: float(value.mean()) for key, value in values.items()},
        **{f"{key}_std": float(value.std()) for key, value in values.items()},
        "queries": sum(len(lists.query) for draw in draws for lists in draw),
        "short_queries": sum(lists.short for draw in draws for lists in draw),
    }


def list_ranks(
    query: torch.Tensor,
    candidate: torch.Tensor,
    lists: Candidates,
    right: NDArray[np.bool_] | None = None,
    chunk: int = 64,
) -> NDArray[np.int64]:
    """Ranks (1 = best) the best right candidate of each list.

    Args:
        query, candidate: embeddings (N, D) and (M, D).
        lists: Q lists.
        right: (Q, 1 + negatives), whether a candidate is right; None: column 0, the positive.
        chunk: number of lists at a time.

    Returns:
        Ranks (Q,).
    """
    if right is None:
        right = _right(lists, None, None)
    rows, columns, hits = (torch.from_numpy(index).to(query.device) for index in (lists.query, lists.candidate, right))
    slack = rounding(query, candidate)
    ranks = []
    for part, listed, hit in zip(*(torch.split(index, chunk) for index in (rows, columns, hits)), strict=True):
        scores = (query[part, None] * candidate[listed.clamp(min=0)]).sum(-1)
        best = scores.masked_fill(~hit, -torch.inf).amax(1, keepdim=True)
        wrong = (scores >= best - slack) & ~hit & (listed != NO_CANDIDATE)
        ranks.append(1 + wrong.sum(1).cpu())
    return torch.cat(ranks).numpy() if ranks else np.zeros(0, dtype=np.int64)


def _right(
    lists: Candidates, of_query: NDArray[np.int64] | None, of_candidate: NDArray[np.int64] | None
) -> NDArray[np.bool_]:
    """Returns which candidates (Q, 1 + negatives) are right: the positive, and those with the query's number."""
    right = np.zeros(lists.candidate.shape, dtype=bool)
    if of_query is not None and of_candidate is not None:
        right = (of_candidate[lists.candidate] == of_query[lists.query][:, None]) & (lists.candidate != NO_CANDIDATE)
    right[:, 0] = True
    return right


def recalls(i2t: NDArray[np.int64], t2i: NDArray[np.int64]) -> dict[str, float]:
    """Computes the recalls in percent and their mean from the ranks of image queries and of text queries.

    >>> recalls(np.array([1, 3]), np.array([1, 11]))["i2t_r5"]
    100.0
    """
    result = {
        f"{direction}_r{top}": 100 * float(np.mean(ranks <= top))
        for direction, ranks in (("i2t", i2t), ("t2i", t2i))
        for top in TOP
    }
    return result | {"mean": sum(result.values()) / len(result)}


def shares_of_products(i2t: NDArray[np.int64], t2i: NDArray[np.int64], image_product: ArrayLike) -> NDArray[np.float32]:
    """Divides the recalls among the products, for resampling them.

    Args:
        i2t, t2i: ranks of the images (N,) and of the products' texts (P,).
        image_product: (N,), the row of each image's product among the texts.

    Returns:
        An array (P, 6). The means over the products, in percent, are the recalls in the order of `recalls`.

    >>> shares_of_products(np.array([1, 3, 1, 2]), np.array([2, 1]), [0, 0, 1, 1])[:, 1].tolist()
    [1.0, 1.0]
    >>> shares_of_products(np.array([1, 3, 1, 2]), np.array([2, 1]), [0, 0, 0, 1])[:, 0].tolist()
    [1.0, 0.0]
    """
    of_images = [np.bincount(image_product, i2t <= top, len(t2i)) * len(t2i) / len(i2t) for top in TOP]
    shares: NDArray[np.float32] = np.stack([*of_images, *(t2i <= top for top in TOP)], axis=1).astype(np.float32)
    return shares


def _same_product(
    image_ids: NDArray[np.int64], text_ids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns all pairs (row, column) of equal ids, ordered by row."""
    order = np.argsort(text_ids, kind="stable")
    first, last = (np.searchsorted(text_ids[order], image_ids, side) for side in ("left", "right"))
    counts = last - first
    rows = np.repeat(np.arange(len(image_ids)), counts)
    # 0, 1, ... within each image's run of texts
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, order[np.repeat(first, counts) + within]


def rounding(images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Returns the largest difference between two scores that count as equal."""
    largest: torch.Tensor = ROUNDING * images.norm(dim=1).max() * texts.norm(dim=1).max()
    return largest


def finite(embeds: ArrayLike, name: str) -> torch.Tensor:
    """Converts embeddings (N, D) to float32 and checks them.

    Raises:
        UserError: an embedding is NaN or infinite.
        ValueError: the shape is not (N, D).
    """
    embeds = torch.as_tensor(embeds).float()
    if embeds.ndim != 2 or len(embeds) == 0:
        raise ValueError(f"{name} embeddings must be of shape (N, D) with N > 0, not {tuple(embeds.shape)}")
    if not torch.isfinite(embeds).all():
        raise UserError(f"The {name} embeddings are not finite: the model has diverged, so use an earlier checkpoint.")
    return embeds


def _ids(ids: ArrayLike, embeds: torch.Tensor) -> NDArray[np.int64]:
    ids = torch.as_tensor(ids).cpu().numpy()
    if ids.shape != embeds.shape[:1]:
        raise ValueError(f"{len(embeds)} embeddings with ids of shape {ids.shape}")
    return ids
