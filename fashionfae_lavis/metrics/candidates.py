"""Candidate lists of the sub-test: drawn from products and subcategories alone, without a look at embeddings."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

NO_CANDIDATE = -1


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


class Draw(NamedTuple):
    """The lists of both directions: images that rank texts, and texts that rank images."""

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
    """All lists of the sub-test, the same for a seed; `draw_candidates` says how one is made."""
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
