"""Candidate lists of the sub-test, drawn from products and subcategories, independently of embeddings."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

NO_CANDIDATE = -1


@dataclass
class Candidates:
    """Candidate lists to rank, as rows of the embeddings.

    Attributes:
        query: (Q,), row of each query.
        candidate: (Q, 1 + negatives), rows of its candidates. Column 0 is the positive; NO_CANDIDATE pads short lists.
    """

    query: NDArray[np.int64]
    candidate: NDArray[np.int64]

    @property
    def short(self) -> int:
        """Number of queries with too few negatives."""
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
    """Draws the candidate lists of one round of the sub-test.

    It draws min(queries, available) distinct queries. Each list has one candidate of the query's product, and
    `negatives` distinct candidates of other products in the same subcategory, which may include several images of one
    product. If there are too few, the list takes all of them, and none from other subcategories. Queries without a
    positive are skipped.

    Args:
        query_product, query_subcategory: (Q,), product and subcategory of each possible query.
        candidate_product, candidate_subcategory: (C,), product and subcategory of each candidate.
        queries, negatives: numbers of queries, and of negatives per query.
        rng: random generator.
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


class Draw(NamedTuple):
    """Candidate lists of both directions: images that rank texts, and texts that rank images."""

    i2t: Candidates
    t2i: Candidates


def draw_lists(
    image_product: ArrayLike,
    text_product: ArrayLike,
    image_subcategory: ArrayLike,
    text_subcategory: ArrayLike,
    queries: int = 1000,
    negatives: int = 100,
    draws: int = 5,
    seed: int = 0,
) -> list[Draw]:
    """Draws all lists of the sub-test, which depend only on the seed; see `draw_candidates`."""
    images = np.asarray(image_product), np.asarray(image_subcategory)
    texts = np.asarray(text_product), np.asarray(text_subcategory)
    rng = np.random.default_rng(seed)
    return [
        Draw(
            *(
                draw_candidates(query[0], candidate[0], query[1], candidate[1], queries, negatives, rng)
                for query, candidate in ((images, texts), (texts, images))
            )
        )
        for _ in range(draws)
    ]
