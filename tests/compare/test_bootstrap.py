import numpy as np
import pytest

from fashionfae_lavis.compare.bootstrap import difference_interval, percent


def test_columns_count_equally_however_many_products_have_one():
    shares = np.array([[1.0, 1.0], [0.0, np.nan], [1.0, np.nan], [0.0, np.nan]], dtype=np.float32)
    assert percent(shares) == 75.0


def test_the_interval_is_that_of_a_mean_of_differences():
    rng = np.random.default_rng(0)
    first, second = (rng.random((400, 1)).astype(np.float32) for _ in range(2))
    low, high = difference_interval([first], [second])
    difference = 100 * (first - second)[:, 0]
    half = 1.96 * difference.std() / 20
    assert (low, high) == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.15 * half)


def test_products_and_not_answers_are_resampled():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, (200, 1)).astype(np.float32)
    other = np.zeros_like(one)
    alone = difference_interval([one], [other])
    assert difference_interval([np.repeat(one, 6, axis=1)], [np.repeat(other, 6, axis=1)]) == pytest.approx(alone)
    assert difference_interval([one] * 3, [other] * 3) == pytest.approx(alone)


def test_equal_systems_have_no_difference_whatever_they_were_not_asked():
    shares = np.array([[1.0, np.nan], [0.0, 1.0], [1.0, 0.0]] * 20, dtype=np.float32)
    assert difference_interval([shares], [shares]) == (0.0, 0.0)


def test_a_column_that_few_products_have_still_gives_numbers():
    shares = np.full((200, 2), np.nan, dtype=np.float32)
    shares[:, 0] = 1.0
    shares[:3, 1] = 1.0
    low, high = difference_interval([shares], [0 * shares])
    assert (low, high) == (100.0, 100.0)


def test_one_product_has_no_interval():
    one = np.ones((1, 6), dtype=np.float32)
    assert difference_interval([one], [one]) is None
