"""Sampling of the objectives that an update trains.

One step is drawn per iteration, the same on every rank. The frequency of a step balances the losses; there are no
weights.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.objectives import OBJECTIVES

# The authors' ratios. One masked text serves MLM and AETP.
DEFAULT_STEPS: tuple[Mapping[str, Any], ...] = (
    {"objectives": ["itc"], "ratio": 0.31},
    {"objectives": ["itm"], "ratio": 0.23},
    {"objectives": ["mlm", "aetp"], "ratio": 0.23},
    {"objectives": ["apir"], "ratio": 0.23},
)


class StepSampler:
    """Draws steps by their ratios, as a pure function of seed and iteration.

    >>> steps = [{"objectives": ["itc"], "ratio": 3}, {"objectives": ["mlm", "aetp"], "ratio": 1}]
    >>> sampler = StepSampler(steps, seed=0)
    >>> sampler.probabilities.tolist(), sampler.objectives
    ([0.75, 0.25], ['itc', 'mlm', 'aetp'])
    >>> sampler.at(iteration=7) == sampler.at(iteration=7)
    True

    Args:
        steps: entries with `objectives` (a list of names in OBJECTIVES) and `ratio` (relative and positive).
        seed: the run's seed.

    Raises:
        UserError: there are no steps, an objective is unknown, or a ratio is not a positive number.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]], seed: int):
        if not steps:
            raise UserError("run.steps is empty: name at least one step, such as {objectives: [itc], ratio: 1}.")
        for step in steps:
            names, ratio = step.get("objectives"), step.get("ratio", 1.0)
            if not names or isinstance(names, str):
                raise UserError(f"run.steps: `objectives` must be a list of {', '.join(OBJECTIVES)}, not {names!r}.")
            unknown = [name for name in names if name not in OBJECTIVES]
            if unknown:
                raise UserError(f"run.steps: unknown objective {unknown[0]!r}; known are {', '.join(OBJECTIVES)}.")
            is_number = isinstance(ratio, (int, float)) and not isinstance(ratio, bool)
            if not is_number or not math.isfinite(ratio) or ratio <= 0:
                raise UserError(
                    f"run.steps: the ratio of [{', '.join(names)}] must be a positive number, not {ratio!r}; "
                    "remove a step that should not be trained."
                )
        self.steps = [tuple(step["objectives"]) for step in steps]
        ratios = np.array([step.get("ratio", 1.0) for step in steps], dtype=float)
        self.probabilities = ratios / ratios.sum()
        self.seed = seed

    @property
    def objectives(self) -> list[str]:
        """All objectives that can be drawn, in the order of `OBJECTIVES`."""
        return [name for name in OBJECTIVES if any(name in step for step in self.steps)]

    def at(self, iteration: int) -> tuple[str, ...]:
        """Returns the objectives of the step drawn at an iteration."""
        rng = np.random.default_rng((self.seed, iteration))
        return self.steps[rng.choice(len(self.steps), p=self.probabilities)]
