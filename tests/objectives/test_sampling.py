import math
from collections import Counter

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.objectives.sampling import DEFAULT_STEPS, StepSampler


def test_steps_are_drawn_by_ratio_and_depend_on_seed_and_iteration_only():
    sampler = StepSampler(DEFAULT_STEPS, seed=3)
    drawn = [sampler.at(i) for i in range(4000)]
    assert drawn[::-1] == [StepSampler(DEFAULT_STEPS, seed=3).at(i) for i in reversed(range(4000))]
    assert drawn[:50] != [StepSampler(DEFAULT_STEPS, seed=4).at(i) for i in range(50)]
    counts = Counter(drawn)
    for step in DEFAULT_STEPS:
        share = counts[tuple(step["objectives"])] / 4000
        assert abs(share - step["ratio"]) < 4 * math.sqrt(step["ratio"] * (1 - step["ratio"]) / 4000)


def test_ratios_are_relative():
    sampler = StepSampler([{"objectives": ["itc"], "ratio": 3}, {"objectives": ["apir"]}], seed=0)
    assert sampler.probabilities.tolist() == [0.75, 0.25]
    assert sampler.objectives == ["itc", "apir"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "run.steps is empty"),
        (
            [{"objectives": ["itc", "mim"], "ratio": 1}],
            "unknown objective 'mim'; known are itc, itm, mlm, aetp, apir",
        ),
        ([{"objectives": "itc"}], "`objectives` must be a list"),
        ([{"ratio": 1}], "`objectives` must be a list"),
        ([{"objectives": ["itc"], "ratio": -0.1}], r"ratio of \[itc\] must be a positive number, not -0.1"),
        ([{"objectives": ["itc"], "ratio": 0}], "remove a step"),
        ([{"objectives": ["itc"], "ratio": float("nan")}], "positive number"),
        ([{"objectives": ["itc"], "ratio": "half"}], "positive number, not 'half'"),
        ([{"objectives": ["itc"], "ratio": True}], "positive number"),
    ],
)
def test_steps_that_make_no_sense_are_refused(steps, message):
    with pytest.raises(UserError, match=message):
        StepSampler(steps, seed=0)
