"""Recall of image-text retrieval on fashion data: the full test, and the sub-test of Kaleido-BERT.

Both rank by dot product. Of equal scores the wrong candidates count first, so that embeddings which are all
the same are never taken for good ones. Results are in percent: `i2t_r1`, `i2t_r5`, `i2t_r10` (image -> text),
`t2i_r1`, ... (text -> image) and `mean`, the mean of these six.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from fashionfae_lavis.metrics.ranks import best_ranks, finite, per_row

TOP = (1, 5, 10)
NO_CANDIDATE = -1


def full_test(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    image_product: ArrayLike,
    text_product: ArrayLike,
    chunk: int = 1024,
) -> dict[str, float]:
    """Every image against every text and the other way round; a hit is any candidate of the same product.

    Takes embeddings (N, D) and (M, D) and the product ids (N,) and (M,); a query whose product has no
    candidate is a miss. Memory is O(chunk x max(N, M)). Raises UserError for NaN or infinite embeddings and
    ValueError for lengths that do not agree.

    >>> full_test([[1, 0], [0, 1]], [[1, 0], [0, 1]], [7, 8], [7, 8])["i2t_r1"]
    100.0
    """
    images, texts = finite(image_embeds, "image"), finite(text_embeds, "text")
    image_ids, text_ids = per_row(image_product, images), per_row(text_product, texts)
    i2t = best_ranks(images, texts, image_ids, text_ids, chunk)
    t2i = best_ranks(texts, images, text_ids, image_ids, chunk)
    return _with_mean({**_recalls("i2t", i2t), **_recalls("t2i", t2i)})


@dataclass
class Candidates:
    """Lists to rank: `query` (Q,) and `candidate` (Q, 1 + negatives), all row indices into the embeddings.

    Column 0 is the positive; NO_CANDIDATE fills up where there were too few negatives.
    """

    query: np.ndarray
    candidate: np.ndarray

    @property
    def short(self) -> int:
        """How many queries have too few negatives."""
        return int((self.candidate == NO_CANDIDATE).any(axis=1).sum())


def draw_candidates(
    query_product: ArrayLike,
    candidate_product: ArrayLike,
    query_subcategory: ArrayLike,
    candidate_subcategory: ArrayLike,
    queries: int,
    negatives: int,
    rng: np.random.Generator,
) -> Candidates:
    """One draw of the sub-test, without looking at embeddings.

    min(queries, available) distinct queries; for each, one candidate of its product and `negatives` distinct
    candidates of other products in the same subcategory, several of which may be images of one product. Where
    there are too few, all of them: no top-up from other ones. A query without a positive is not drawn.
    """
    query_product, candidate_product = np.asarray(query_product), np.asarray(candidate_product)
    query_group, candidate_group = np.asarray(query_subcategory), np.asarray(candidate_subcategory)
    answerable = np.flatnonzero(np.isin(query_product, candidate_product))
    chosen = rng.permutation(answerable)[:queries]
    members = {group: np.flatnonzero(candidate_group == group) for group in np.unique(query_group)}
    lists = np.full((len(chosen), 1 + negatives), NO_CANDIDATE, dtype=np.int64)
    for line, query in zip(lists, chosen, strict=True):
        product = query_product[query]
        line[0] = rng.choice(np.flatnonzero(candidate_product == product))
        group = members[query_group[query]]
        others = group[candidate_product[group] != product]
        drawn = rng.choice(others, min(negatives, len(others)), replace=False)
        line[1 : 1 + len(drawn)] = drawn
    return Candidates(chosen, lists)


def sub_test(
    image_embeds: ArrayLike,
    text_embeds: ArrayLike,
    image_product: ArrayLike,
    text_product: ArrayLike,
    image_subcategory: ArrayLike,
    text_subcategory: ArrayLike,
    queries: int = 1000,
    negatives: int = 100,
    draws: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Each query ranks its positive among `negatives` of the same subcategory and other products.

    The protocol of Kaleido-BERT (arXiv 2103.16110), with seeded draws; `draw_candidates` says how they are
    made. Returns the recalls' means over the draws, `<key>_std` (their population standard deviation), and
    `short_queries`: of all queries of all draws in both directions, how many had fewer negatives than
    `negatives`. Errors as in `full_test`.
    """
    images, texts = finite(image_embeds, "image"), finite(text_embeds, "text")
    image_side = np.asarray(image_product), np.asarray(image_subcategory)
    text_side = np.asarray(text_product), np.asarray(text_subcategory)
    rng = np.random.default_rng(seed)
    results, short = [], 0
    for _ in range(draws):
        recalls = {}
        for name, query, candidate, (q_product, q_group), (c_product, c_group) in (
            ("i2t", images, texts, image_side, text_side),
            ("t2i", texts, images, text_side, image_side),
        ):
            lists = draw_candidates(q_product, c_product, q_group, c_group, queries, negatives, rng)
            recalls |= _recalls(name, list_ranks(query, candidate, lists))
            short += lists.short
        results.append(_with_mean(recalls))
    values = {key: np.array([result[key] for result in results]) for key in results[0]}
    means = {key: float(value.mean()) for key, value in values.items()}
    return means | {f"{key}_std": float(value.std()) for key, value in values.items()} | {"short_queries": short}


def list_ranks(query: torch.Tensor, candidate: torch.Tensor, lists: Candidates, chunk: int = 64) -> np.ndarray:
    """Rank (1 = best) of the positive in each list; embeddings of queries (N, D), of candidates (M, D)."""
    rows, columns = torch.from_numpy(lists.query), torch.from_numpy(lists.candidate)
    ranks = []
    for part, listed in zip(rows.split(chunk), columns.split(chunk), strict=True):
        scores = (query[part, None] * candidate[listed.clamp(min=0)]).sum(-1)
        wrong = (scores[:, 1:] >= scores[:, :1]).cpu() & (listed[:, 1:] != NO_CANDIDATE)
        ranks.append(1 + wrong.sum(1))
    return torch.cat(ranks).numpy() if ranks else np.zeros(0, dtype=np.int64)


def _recalls(direction: str, ranks: np.ndarray) -> dict[str, float]:
    return {f"{direction}_r{top}": 100 * float(np.mean(ranks <= top)) for top in TOP}


def _with_mean(recalls: dict[str, float]) -> dict[str, float]:
    return recalls | {"mean": sum(recalls.values()) / len(recalls)}
