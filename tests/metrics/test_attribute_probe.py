import math
from collections import Counter

import numpy as np
import pytest
import torch

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.attribute_probe import (
    best_way,
    pair_hits,
    piece_scores,
    share,
    swap_partners,
    value_ranks,
    value_shares,
)


def test_ranks_equal_a_sorted_list():
    rng = np.random.default_rng(0)
    scores, right = rng.random((50, 7)), rng.integers(7, size=50)
    expected = [sorted(row, reverse=True).index(row[column]) + 1 for row, column in zip(scores, right, strict=True)]
    assert value_ranks(scores, right).tolist() == expected


def test_ties_count_against_the_model():
    assert value_ranks(np.zeros((3, 4)), [0, 1, 3]).tolist() == [4, 4, 4]
    assert value_ranks([[-np.inf, -np.inf, -1.0]], [0]).tolist() == [3]
    assert pair_hits([1.0, 1.0, 2.0], [1.0, 2.0, 1.0]).tolist() == [False, False, True]


def test_scores_that_are_not_numbers_are_an_error():
    with pytest.raises(UserError, match="diverged"):
        value_ranks([[0.0, np.nan]], [0])
    with pytest.raises(UserError, match="diverged"):
        pair_hits([0.0], [np.nan])


@pytest.mark.parametrize(("right", "n"), [(8, 10), (0, 20), (20, 20), (437, 1000)])
def test_the_interval_has_the_ends_that_wilson_solves_for(right, n):
    """Finds both ends q of the interval, which satisfy |p - q| = z sqrt(q (1 - q) / n), by bisection."""
    p, ends = right / n, []
    for outer in (0.0, 1.0):
        inner = p
        for _ in range(100):
            middle = (inner + outer) / 2
            if abs(p - middle) > 1.96 * math.sqrt(middle * (1 - middle) / n):
                outer = middle
            else:
                inner = middle
        ends.append(inner)
    result = share([True] * right + [False] * (n - right))
    assert result["accuracy"] == pytest.approx(100 * p) and result["n"] == n
    assert result["half_width"] == pytest.approx(50 * (ends[1] - ends[0]), abs=1e-6)


def test_top_five_is_told_of_many_values_only():
    ranks = [1, 5, 6, 1]
    assert value_shares(ranks, 11)["top5"] == 75.0
    assert "top5" not in value_shares(ranks, 10)
    assert value_shares(ranks, 11)["accuracy"] == value_shares(ranks, 10)["accuracy"] == 50.0


def test_piece_scores_equal_loops():
    logits = torch.randn(3, 2, 11, generator=torch.Generator().manual_seed(0))
    pieces = torch.tensor([[4, 7], [7, 4], [0, 0], [10, 4]])
    result = piece_scores(logits, pieces)
    for b in range(3):
        for v in range(4):
            logs = [math.log(torch.softmax(logits[b, i], 0)[pieces[v, i]]) for i in range(2)]
            assert result[b, v].item() == pytest.approx(sum(logs) / 2, abs=1e-5)


@pytest.mark.parametrize("weights", [(0.5, 0.3, 0.2), (0.8, 0.2), (1 / 6,) * 6])
def test_partners_differ_and_leave_few_over(weights):
    rng = np.random.default_rng(0)
    values = [str(v) for v in rng.choice(len(weights), 600, p=weights)]
    pairs = swap_partners(values, rng)
    positions = [position for pair in pairs for position in pair]
    assert len(positions) == len(set(positions))
    assert all(values[one] != values[other] for one, other in pairs)
    counts = Counter(values)
    assert len(pairs) <= min(300, 600 - max(counts.values()))
    assert len(pairs) > 0.9 * min(300, 600 - max(counts.values()))


def test_a_preference_for_some_value_gains_nothing_on_partners():
    rng = np.random.default_rng(1)
    values = [str(v) for v in rng.choice(4, 500, p=(0.4, 0.3, 0.2, 0.1))]
    for _ in range(5):
        liking = dict(zip("0123", rng.permutation(4), strict=True))
        pairs = swap_partners(values, rng)
        asked = [*pairs, *((other, one) for one, other in pairs)]
        true, false = ([liking[values[pair[side]]] for pair in asked] for side in (0, 1))
        assert share(pair_hits(true, false))["accuracy"] == 50.0


def test_no_partner_where_all_have_one_value():
    assert swap_partners(["a"] * 5, np.random.default_rng(0)) == []
    assert swap_partners([], np.random.default_rng(0)) == []


def test_the_way_is_chosen_by_the_other_half_of_the_questions():
    """`a` knows the even questions and `b` the odd ones, so each half is asked in the wrong way."""
    even = np.arange(10) % 2 == 0
    assert not best_way({"a": even, "b": ~even}).any()
    assert best_way({"a": np.zeros(10, bool), "b": np.ones(10, bool)}).all()
    rng = np.random.default_rng(0)
    hits = {"a": rng.random(2001) < 0.5, "b": rng.random(2001) < 0.6}
    assert (best_way(hits) == hits["b"]).all() and (best_way({"a": hits["a"]}) == hits["a"]).all()
