"""Which objectives an update trains: one step kind is drawn per iteration, the same on every rank (METHOD 1).

The losses are balanced by how often their step is drawn, not by weights.
"""

import math

import numpy as np

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.objectives import OBJECTIVES

# The released ratios; one masked text carries MLM and AETP.
DEFAULT_STEPS = (
    {"objectives": ["itc"], "ratio": 0.31},
    {"objectives": ["itm"], "ratio": 0.23},
    {"objectives": ["mlm", "aetp"], "ratio": 0.23},
    {"objectives": ["apir"], "ratio": 0.23},
)


class StepSampler:
    """Draws step kinds by their ratios, as a pure function of seed and iteration.

    Args:
        steps: entries with "objectives" (names of OBJECTIVES) and "ratio" (relative, positive).
        seed: of the run.

    Raises:
        UserError: an unknown objective, or a ratio that is not a positive number.
    """

    def __init__(self, steps, seed: int):
        if not steps:
            raise UserError("run.steps is empty: name at least one step, such as {objectives: [itc], ratio: 1}.")
        for step in steps:
            names, ratio = step.get("objectives"), step.get("ratio", 1.0)
            if not names or isinstance(names, str):
                raise UserError(f"run.steps: `objectives` must be a list of {', '.join(OBJECTIVES)}, not {names!r}.")
            unknown = [name for name in names if name not in OBJECTIVES]
            if unknown:
                raise UserError(f"run.steps: unknown objective {unknown[0]!r}; known are {', '.join(OBJECTIVES)}.")
            number = isinstance(ratio, (int, float)) and not isinstance(ratio, bool)
            if not number or not math.isfinite(ratio) or ratio <= 0:
                raise UserError(
                    f"run.steps: the ratio of [{', '.join(names)}] must be a positive number, not {ratio!r}; "
                    "leave a step out to not train it."
                )
        self.kinds = [tuple(step["objectives"]) for step in steps]
        ratios = np.array([step.get("ratio", 1.0) for step in steps], dtype=float)
        self.probabilities = ratios / ratios.sum()
        self.seed = seed

    @property
    def objectives(self) -> list[str]:
        """All objectives that can be drawn, in the order of OBJECTIVES."""
        return [name for name in OBJECTIVES if any(name in kind for kind in self.kinds)]

    def at(self, iteration: int) -> tuple[str, ...]:
        """The objectives of this update."""
        rng = np.random.default_rng((self.seed, iteration))
        return self.kinds[rng.choice(len(self.kinds), p=self.probabilities)]
