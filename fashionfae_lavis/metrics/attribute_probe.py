"""Figures of the attribute probe: ranks among an attribute's values, choices between two texts, their uncertainty.

Shares are in percent. Of equal scores the wrong one counts as better, so that a model which answers the same to
everything is never taken for a good one.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fashionfae_lavis.errors import UserError

Z = 1.96  # of a 95 % interval
TOP, MANY = 5, 10  # with more than MANY values, how often the right one is among the TOP is told too


def value_ranks(scores: ArrayLike, right: ArrayLike) -> np.ndarray:
    """Rank (1 = best) of the right value: scores (N, V) and the right columns (N,) -> (N,).

    Raises UserError for scores that are not numbers.

    >>> value_ranks([[0.1, 0.9, 0.9], [0.1, 0.9, 0.3]], [1, 1]).tolist()
    [2, 1]
    """
    scores, right = np.asarray(scores), np.asarray(right)
    _require_numbers(scores)
    own = scores[np.arange(len(right)), right]
    return (scores >= own[:, None]).sum(1)


def share(hits: ArrayLike) -> dict[str, float]:
    """`accuracy` of yes/no results (N,), `half_width` of its 95 % interval (both in percent), and `n`.

    The interval is Wilson's (J. Am. Stat. Assoc. 22, 1927): unlike the normal one it does not shrink to nothing at
    0 and 100 %, and it lies around (k + z^2 / 2) / (n + z^2), a little nearer to 50 % than k / n.

    >>> share([True] * 8 + [False] * 2)["accuracy"]
    80.0
    """
    hits = np.asarray(hits, dtype=bool)
    n, p = len(hits), float(hits.mean())
    spread = math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return {"accuracy": 100 * p, "half_width": 100 * Z * spread, "n": n}


def value_shares(ranks: ArrayLike, values: int) -> dict[str, float]:
    """`share` of ranks that are 1 and, with more than ten values, `top5`: the share of those up to 5."""
    ranks = np.asarray(ranks)
    return share(ranks == 1) | ({"top5": 100 * float(np.mean(ranks <= TOP))} if values > MANY else {})


def pair_hits(true: ArrayLike, false: ArrayLike) -> np.ndarray:
    """Which of N pairs score higher with the true text than with the false one: (N,) and (N,) -> bool (N,).

    Raises UserError for scores that are not numbers.
    """
    true, false = np.asarray(true), np.asarray(false)
    _require_numbers(true)
    _require_numbers(false)
    return true > false


def piece_scores(logits: Tensor, pieces: Tensor) -> Tensor:
    """Mean log-probability per word piece of each value at k masked places.

    Args:
        logits: (B, k, vocabulary) at the places; pieces: (V, k) piece ids of V values of k pieces each.

    Returns:
        (B, V), at most 0.
    """
    places = torch.arange(pieces.shape[1], device=pieces.device)
    return logits.float().log_softmax(-1)[:, places, pieces].mean(-1)


def swap_partners(values: Sequence[str], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Disjoint pairs of places with different values, drawn by `rng`; few are left over, unless one value has most.

    Asking both of a pair with the other's value puts each value forward as the wrong one as often, against the same
    opponents, as it is the right one: a preference for some value, whatever the image, gains nothing.

    >>> swap_partners(["a", "a", "a"], np.random.default_rng(0))
    []
    """
    pairs, waiting = [], []  # those that wait all have the same value
    for place in rng.permutation(len(values)).tolist():
        if waiting and values[waiting[-1]] != values[place]:
            pairs.append((waiting.pop(), place))
        else:
            waiting.append(place)
    return pairs


def _require_numbers(scores: np.ndarray) -> None:
    if np.isnan(scores).any():
        raise UserError("the model's scores are not numbers: it has diverged, use an earlier checkpoint")
