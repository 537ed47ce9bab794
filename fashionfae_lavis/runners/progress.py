"""The progress of a run."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Progress:
    """Counters of a run, saved in its checkpoints.

    Attributes:
        iters: number of updates done, which also determines the learning rate and the position in the data.
        seconds: time spent in these updates, including earlier sessions of a resumed run.
        best_metric: highest validation metric so far.
        best_iters: number of updates when it was reached; None before the first validation.
        unvalidated: whether the validation after these updates is still to be done.
    """

    iters: int = 0
    seconds: float = 0.0
    best_metric: float = -math.inf
    best_iters: int | None = None
    unvalidated: bool = False

    def improve(self, metric: float) -> bool:
        """Records a validation metric and returns whether it is the best so far."""
        if not metric > self.best_metric:
            return False
        self.best_metric, self.best_iters = metric, self.iters
        return True

    def state_dict(self) -> dict[str, Any]:
        """Returns the counters by name, in plain types."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the counters; checkpoints of old versions have no `seconds` and no `unvalidated`."""
        self.iters = state["iters"]
        self.seconds = state.get("seconds", 0.0)
        self.best_metric = state["best_metric"]
        self.best_iters = state["best_iters"]
        self.unvalidated = bool(state.get("unvalidated"))
