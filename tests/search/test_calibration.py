import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from fashionfae_lavis.search.calibration import (
    Calibration,
    calibration_error,
    coverage_at,
    cross_fitted,
    fit_calibration,
    risk_coverage,
)


def drawn(count=4000, values=6, seed=0, prior=None):
    """Returns logits (N, V) and right values drawn from their softmax, with `prior` added to them if given."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((count, values))
    shares = softmax(logits + (0 if prior is None else prior), axis=1)
    return logits, np.array([rng.choice(values, p=row) for row in shares])


def answers(count=300, seed=0):
    """Returns confidences with many ties, and whether each answer is right. About this share is right."""
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 101, count) / 100
    return confidence, rng.random(count) < confidence**1.5


def slow_loss(scores, log_prior, right, inverse, weight):
    total = 0.0
    for row, column in zip(scores, right, strict=True):
        logits = [inverse * score + weight * share for score, share in zip(row, log_prior, strict=True)]
        total += math.log(sum(math.exp(logit) for logit in logits)) - logits[column]
    return total


def test_the_fit_minimises_the_log_loss():
    """The reference sums the loss product by product, and minimises it without derivatives."""
    logits, right = drawn(count=150)
    scores = 3 * logits + np.random.default_rng(1).standard_normal(logits.shape)
    log_prior = np.log(softmax(np.arange(6.0)))
    unit = scores.std()

    def slow(weights):
        penalty = (weights[0] * unit) ** 2 + weights[1] ** 2
        return slow_loss(scores, log_prior, right, *weights) + penalty / 200

    best = minimize(slow, [0.3, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    found = fit_calibration(scores, log_prior, right)
    assert 1 / found.temperature == pytest.approx(best[0], abs=1e-4)
    assert found.prior_weight == pytest.approx(best[1], abs=1e-4)


@pytest.mark.parametrize("temperature", [0.02, 1.0, 40.0])
def test_finds_the_temperature_that_the_scores_were_made_with(temperature):
    logits, right = drawn()
    found = fit_calibration(temperature * logits, np.zeros(6), right)
    assert found.temperature == pytest.approx(temperature, rel=0.05)


def test_finds_how_much_of_the_prior_the_scores_lack():
    prior = np.log([0.5, 0.3, 0.1, 0.05, 0.03, 0.02])
    for counted in (0.0, 1.0, 1.5):  # of the prior, in the scores
        logits, right = drawn(prior=prior)
        found = fit_calibration(logits + counted * prior, prior, right)
        assert found.prior_weight == pytest.approx(1 - counted, abs=0.1)


def test_scores_that_say_nothing_leave_the_prior():
    prior = np.log([0.6, 0.3, 0.1])
    rng = np.random.default_rng(0)
    right = rng.choice(3, size=2000, p=np.exp(prior))
    scores = rng.standard_normal((2000, 3))
    found = fit_calibration(scores, prior, right)
    assert found.probabilities(scores, prior) == pytest.approx(np.tile(np.exp(prior), (2000, 1)), abs=0.08)


def test_scores_that_are_always_right_do_not_become_certain_beyond_reason():
    right = np.arange(40) % 4
    scores = np.eye(4)[right]
    found = fit_calibration(scores, np.zeros(4), right)
    confidence = found.probabilities(scores, np.zeros(4)).max(1)
    assert confidence.min() > 0.99 and confidence.max() < 1 - 1e-9 and found.temperature > 1e-3


def test_constant_scores_can_be_fitted():
    found = fit_calibration(np.zeros((20, 2)), np.zeros(2), np.zeros(20, int))
    assert found.probabilities(np.zeros((1, 2)), np.zeros(2)).tolist() == [[0.5, 0.5]]


def test_probabilities_are_the_softmax_of_the_sum():
    table = Calibration(temperature=2.0, prior_weight=0.5).probabilities([[2.0, 4.0]], np.log([0.81, 0.09]))
    one, two = math.e * 0.9, math.e**2 * 0.3
    assert table[0].tolist() == pytest.approx([one / (one + two), two / (one + two)])


def test_no_product_calibrates_itself():
    logits, right = drawn(count=23, values=4)
    prior = np.log([0.4, 0.3, 0.2, 0.1])
    before = cross_fitted(logits, prior, right)
    assert before.sum(1) == pytest.approx(np.ones(23))
    for product in range(23):
        other = right.copy()
        other[product] = (right[product] + 1) % 4
        after = cross_fitted(logits, prior, other)
        assert (after[product] == before[product]).all()
        assert (after != before).any(1).sum() > 15  # those of the other folds


def test_calibration_error_equals_a_sum_over_the_bins():
    confidence, hits = answers()
    total = 0.0
    for number in range(15):
        inside = [
            i for i, c in enumerate(confidence) if number / 15 <= c < (number + 1) / 15 or number == 14 and c == 1
        ]
        if inside:
            gap = np.mean([confidence[i] for i in inside]) - np.mean([hits[i] for i in inside])
            total += len(inside) / len(hits) * abs(gap)
    assert calibration_error(confidence, hits) == pytest.approx(100 * total)
    assert total > 0.05


def test_the_curve_equals_a_count_at_every_threshold():
    confidence, hits = answers()
    levels, coverage, risk = risk_coverage(confidence, hits)
    assert levels.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for level, share, wrong in zip(levels, coverage, risk, strict=True):
        passed = [hit for c, hit in zip(confidence, hits, strict=True) if c >= level]
        assert share == len(passed) / len(hits) and wrong == pytest.approx(passed.count(False) / len(passed))


@pytest.mark.parametrize("precision", [0.5, 0.8, 0.95])
def test_coverage_equals_a_search_over_the_thresholds(precision):
    confidence, hits = answers()
    best = (0.0, math.inf)
    for level in sorted(set(confidence.tolist()), reverse=True):
        passed = [hit for c, hit in zip(confidence, hits, strict=True) if c >= level]
        if sum(passed) / len(passed) >= precision:
            best = (len(passed) / len(hits), level)
    assert coverage_at(confidence, hits, precision) == pytest.approx(best)


def test_equal_confidences_cannot_be_told_apart():
    hits = [True] * 19 + [False]
    assert coverage_at([0.9] * 20, hits) == (1.0, 0.9)
    assert coverage_at([0.9] * 20, [*hits[1:], False]) == (0.0, math.inf)
