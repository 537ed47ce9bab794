"""Calibrated confidence: probabilities of an attribute's values, and figures that say how far to trust them.

A confidence is calibrated if 80 % of the answers given with 80 % confidence are right.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Floats = NDArray[np.float64]

FOLDS, BINS = 5, 15
PRECISION = 0.95  # of `coverage_at`
DEVIATION = 10  # of the normal prior of the weights, for scores of unit deviation


@dataclass(frozen=True)
class Calibration:
    """Probabilities of V values: softmax(scores / temperature + prior_weight * log prior).

    The temperature is that of temperature scaling (Guo et al., ICML 2017, arXiv 1706.04599). The second weight corrects
    how much the scores count the prior, the share of products that have a value: rankings of prompts leave it out,
    and likelihoods of words may overrate it.
    """

    temperature: float
    prior_weight: float

    def probabilities(self, scores: ArrayLike, log_prior: ArrayLike) -> Floats:
        """Returns the probabilities (N, V) of values with scores (N, V) and log prior (V,)."""
        found: Floats = softmax(
            np.asarray(scores, float) / self.temperature + self.prior_weight * np.asarray(log_prior), axis=1
        )
        return found


def fit_calibration(scores: ArrayLike, log_prior: ArrayLike, right: ArrayLike) -> Calibration:
    """Fits temperature and prior weight to N products by maximum likelihood, a convex problem.

    A weak normal prior keeps the weights finite if the scores are always right. A model whose scores say nothing gets a
    high temperature, and the probabilities become those of the prior.

    Args:
        scores: (N, V), finite.
        log_prior: (V,), the log share of products that have each value.
        right: (N,), the column of the right value.
    """
    scores, right = np.asarray(scores, float), np.asarray(right)
    rows = np.arange(len(right))
    unit = float(scores.std()) or 1.0
    parts = np.stack([scores / unit, np.broadcast_to(log_prior, scores.shape)])  # (2, N, V)

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = np.tensordot(weights, parts, 1)
        expected = (softmax(logits, axis=1) * parts).sum((1, 2))
        slope = (expected - parts[:, rows, right].sum(1) + weights / DEVIATION**2) / len(rows)
        penalty = (weights**2).sum() / (2 * DEVIATION**2 * len(rows))
        return log_loss(log_softmax(logits, axis=1), right) + penalty, slope

    found = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(1e-6, None), (None, None)]).x
    return Calibration(unit / float(found[0]), float(found[1]))


def cross_fitted(scores: ArrayLike, log_prior: ArrayLike, right: ArrayLike, seed: int = 0) -> Floats:
    """Returns the probabilities (N, V) of each product by a calibration that is fitted without it, in five folds.

    Figures of these probabilities hold for products that calibrated nothing. The arguments are those of
    `fit_calibration`; `seed` draws the folds.
    """
    scores, right = np.asarray(scores, float), np.asarray(right)
    found = np.zeros_like(scores)
    for fold in _folds(len(right), seed):
        calibration = fit_calibration(scores[~fold], log_prior, right[~fold])
        found[fold] = calibration.probabilities(scores[fold], log_prior)
    return found


def _folds(count: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yields masks (N,) of the products of each fold; there are fewer folds than five for fewer products."""
    folds = min(FOLDS, count)
    number = np.random.default_rng(seed).permutation(count) % folds
    yield from (number == fold for fold in range(folds))


def log_loss(log_probabilities: Floats, right: NDArray[np.int64]) -> float:
    """Returns the mean negative log-probability of the right values, from (N, V)."""
    return -float(log_probabilities[np.arange(len(right)), right].mean())


def calibration_error(confidence: ArrayLike, hits: ArrayLike) -> float:
    """Computes the expected calibration error in percent, in 15 bins of equal width (Guo et al. 2017, equation 3).

    Args:
        confidence: (N,), 0 to 1.
        hits: (N,), whether each answer is right.

    >>> calibration_error([0.9, 0.9, 0.9, 0.9], [True, True, True, False])
    15.0
    """
    confidence, hits = np.asarray(confidence, float), np.asarray(hits, float)
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(number, confidence - hits, minlength=BINS)
    return round(100 * float(np.abs(gaps).sum()) / len(hits), 12)


def risk_coverage(confidence: ArrayLike, hits: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Computes the risk at each coverage, as a least confidence decides which answers count.

    Equal confidences pass together, because no threshold separates them.

    Args:
        confidence: (N,).
        hits: (N,), whether each answer is right.

    Returns:
        For each distinct confidence, highest first: the confidence, the share of products (0..1) with at least as much,
        and the share of wrong answers among these.

    >>> [part.tolist() for part in risk_coverage([0.9, 0.5, 0.5, 0.1], [True, True, False, False])]
    [[0.9, 0.5, 0.1], [0.25, 0.75, 1.0], [0.0, 0.3333333333333333, 0.5]]
    """
    levels, which = np.unique(-np.asarray(confidence, float), return_inverse=True)
    passed = np.cumsum(np.bincount(which))
    wrong = np.cumsum(np.bincount(which, ~np.asarray(hits, bool)))
    return -levels, passed / passed[-1], wrong / passed


def coverage_at(confidence: ArrayLike, hits: ArrayLike, precision: float = PRECISION) -> tuple[float, float]:
    """Finds how many products can be answered with a precision.

    Returns:
        The largest share of products (0..1) whose answers are right in at least `precision` of the cases, and their
        least confidence; 0 and infinity if there is none.

    >>> coverage_at([0.9, 0.8, 0.5, 0.1], [True, True, False, True], precision=0.7)
    (1.0, 0.1)
    """
    levels, coverage, risk = risk_coverage(confidence, hits)
    enough = np.flatnonzero(1 - risk >= precision)
    return (float(coverage[enough[-1]]), float(levels[enough[-1]])) if len(enough) else (0.0, float("inf"))
