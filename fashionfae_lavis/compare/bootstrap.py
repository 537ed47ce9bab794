"""Confidence intervals of a difference between two systems, by resampling the products that they are asked about.

The standard deviation over seeds shows how much another training would change a difference. The bootstrap (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993) shows how much other products would change it.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
BATCH = 100  # resamples at a time
LEVEL = 0.95


def percent(shares: NDArray[np.float32]) -> NDArray[np.float64]:
    """Computes a figure in percent from the products' shares (..., P, C), as `EvaluationResult.hits` defines them.

    >>> percent(np.array([[1, 0], [1, np.nan]], dtype=np.float32)).item()
    50.0
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample without a product in some column
        figure: NDArray[np.float64] = 100 * np.nanmean(np.nanmean(shares, axis=-2, dtype=np.float64), axis=-1)
    return figure


def difference_interval(
    first: Sequence[NDArray[np.float32]], second: Sequence[NDArray[np.float32]]
) -> tuple[float, float] | None:
    """Computes the percentile interval of the mean difference between two systems over the seeds, in points.

    All seeds of both systems are resampled alike, because they are asked about the same products.

    Args:
        first: shares (P, C) of the first system, one array for each seed.
        second: those of the second system, with the same seeds, products and NaNs.

    Returns:
        Lower and upper end of the 95 % interval; None for fewer than two products.
    """
    from scipy.stats import bootstrap  # takes a second to import

    shares = np.mean([one - other for one, other in zip(first, second, strict=True)], axis=0)
    if len(shares) < 2:
        return None
    found = bootstrap(
        (np.arange(len(shares)),),
        lambda rows, axis: percent(shares[rows]),
        n_resamples=RESAMPLES,
        batch=BATCH,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        random_state=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
