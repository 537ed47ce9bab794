"""Figures of the attribute probe: ranks among an attribute's values, choices between two texts, and uncertainty.

Shares are in percent. Ties count against the model, so a model that gives the same answer to everything scores badly.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fashionfae_lavis.errors import UserError

Z = 1.96  # normal quantile of a 95 % interval
TOP, MANY = 5, 10  # with more than MANY values, the share of ranks up to TOP is reported as well


def value_ranks(scores: ArrayLike, right: ArrayLike) -> NDArray[np.int64]:
    """Ranks the right value of each question (1 = best).

    Args:
        scores: (N, V).
        right: (N,), the column of the right value.

    Returns:
        Ranks (N,).

    Raises:
        UserError: a score is NaN.

    >>> value_ranks([[0.1, 0.9, 0.9], [0.1, 0.9, 0.3]], [1, 1]).tolist()
    [2, 1]
    """
    scores, right = np.asarray(scores), np.asarray(right)
    _require_numbers(scores)
    own = scores[np.arange(len(right)), right]
    ranks: NDArray[np.int64] = (scores >= own[:, None]).sum(1)
    return ranks


def share(hits: ArrayLike) -> dict[str, float]:
    """Computes the share of hits, with its uncertainty.

    The interval is Wilson's (J. Am. Stat. Assoc. 22, 1927). Unlike the normal interval, its width is not zero at 0 and
    100 %. Its centre is (k + z^2 / 2) / (n + z^2), slightly closer to 50 % than k / n.

    Args:
        hits: (N,) booleans.

    Returns:
        "accuracy" and the "half_width" of its 95 % interval, both in percent, and "n".

    >>> share([True] * 8 + [False] * 2)["accuracy"]
    80.0
    """
    hits = np.asarray(hits, dtype=bool)
    n, p = len(hits), float(hits.mean())
    spread = math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return {"accuracy": 100 * p, "half_width": 100 * Z * spread, "n": n}


def value_shares(ranks: ArrayLike, values: int) -> dict[str, float]:
    """Computes the `share` of ranks that are 1 and, with more than ten values, "top5", the share of ranks up to 5.

    >>> value_shares([1, 5, 6, 1], values=11)["top5"]
    75.0
    """
    ranks = np.asarray(ranks)
    return share(ranks == 1) | ({"top5": 100 * float(np.mean(ranks <= TOP))} if values > MANY else {})


def best_way(hits: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Answers each half of N questions in the way that is right more often on the other half.

    The choice therefore never sees the questions that it answers. Of equally good ways, the first is chosen.

    Args:
        hits: way of answering -> booleans (N,), True where its answer is right.

    Returns:
        Booleans (N,).

    >>> best_way({"a": np.array([True, False, True, True]), "b": np.array([False, False, True, False])}).tolist()
    [True, False, True, True]
    """
    answers = np.stack(list(hits.values()))
    even = np.arange(answers.shape[1]) % 2 == 0
    chosen = np.empty(answers.shape[1], dtype=bool)
    for half in (even, ~even):
        way = answers[:, ~half].sum(1).argmax()
        chosen[half] = answers[way, half]
    return chosen


def pair_hits(true: ArrayLike, false: ArrayLike) -> NDArray[np.bool_]:
    """Returns booleans (N,), True where the true text's score (N,) exceeds the false text's score (N,).

    Raises:
        UserError: a score is NaN.

    >>> pair_hits([1.0, 1.0, 2.0], [1.0, 2.0, 1.0]).tolist()
    [False, False, True]
    """
    true, false = np.asarray(true), np.asarray(false)
    _require_numbers(true)
    _require_numbers(false)
    return true > false


def piece_scores(logits: Tensor, pieces: Tensor) -> Tensor:
    """Computes the mean log-probability per word piece of each value at k masked positions.

    Args:
        logits: (B, k, vocabulary) at the positions.
        pieces: (V, k), the ids of V values of k pieces each.

    Returns:
        Scores (B, V), at most 0.
    """
    positions = torch.arange(pieces.shape[1], device=pieces.device)
    return logits.float().log_softmax(-1)[:, positions, pieces].mean(-1)


def swap_partners(values: Sequence[str], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draws disjoint pairs of indices with different values; few are left over, unless one value dominates.

    Each index of a pair is then asked with the other's value. A value is therefore the wrong answer as often as the
    right one, against the same alternatives, so a preference for a value regardless of the image gains nothing.

    >>> swap_partners(["a", "a", "a"], np.random.default_rng(0))
    []
    """
    pairs: list[tuple[int, int]] = []
    waiting: list[int] = []  # all with the same value
    for index in rng.permutation(len(values)).tolist():
        if waiting and values[waiting[-1]] != values[index]:
            pairs.append((waiting.pop(), index))
        else:
            waiting.append(index)
    return pairs


def _require_numbers(scores: NDArray[np.floating[Any]]) -> None:
    if np.isnan(scores).any():
        raise UserError("The model's scores are NaN: it has diverged, so use an earlier checkpoint.")
