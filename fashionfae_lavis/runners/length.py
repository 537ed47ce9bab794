"""The length of training, in updates, epochs or minutes."""

import math
from dataclasses import dataclass

from omegaconf import DictConfig

from fashionfae_lavis.errors import UserError


@dataclass(frozen=True)
class RunLength:
    """The length of training, as pure functions of the updates and seconds spent.

    With `max_minutes`, training ends after the first update that reaches this time, and the learning rate follows the
    clock. `max_iters` then only defines the length that `warmup_steps` and `milestones` refer to. The time includes
    updates and data loading, but neither evaluation nor checkpoints.

    Attributes:
        max_iters: number of updates; None if only the minutes are known.
        max_minutes: training time; None for a length in updates.
    """

    max_iters: int | None
    max_minutes: float | None = None

    @classmethod
    def of(cls, run: DictConfig, iters_per_epoch: int) -> "RunLength":
        """Reads `max_iters`, or else `max_epoch`, and `max_minutes` from the `run` section.

        Raises:
            UserError: none of them is set, or `max_minutes` is neither null nor a number above 0.
        """
        minutes = run.get("max_minutes")
        number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if minutes is not None and not (number and minutes > 0):
            raise UserError(f"run.max_minutes is {minutes!r}, but must be a number above 0, or null for no limit.")
        if run.get("max_iters"):
            return cls(int(run.max_iters), minutes)
        if run.get("max_epoch"):
            return cls(max(1, round(run.max_epoch * iters_per_epoch)), minutes)
        if minutes is None:
            raise not_set("run")
        return cls(None, minutes)

    @property
    def schedule_length(self) -> float:
        """Length of the learning-rate schedule: in updates, or in seconds if only the minutes are known."""
        if self.max_iters is not None:
            return self.max_iters
        assert self.max_minutes is not None
        return 60 * self.max_minutes

    def is_over(self, iters: int, seconds: float) -> bool:
        """Returns whether training ends after this many updates and seconds."""
        if self.max_minutes is not None:
            return seconds >= 60 * self.max_minutes
        return iters >= self.schedule_length

    def schedule_step(self, iters: int, seconds: float) -> float:
        """Returns the step of the learning-rate schedule for the next update, from 0 to `schedule_length`."""
        if self.max_minutes is None:
            return iters
        return self.schedule_length * min(1.0, seconds / (60 * self.max_minutes))

    def remaining(self, iters: int, seconds: float, seconds_per_update: float) -> tuple[int, float]:
        """Returns how many updates and seconds are left, if each update takes `seconds_per_update`."""
        if self.max_minutes is None:
            updates = max(0, int(self.schedule_length) - iters)
            return updates, updates * seconds_per_update
        left = max(0.0, 60 * self.max_minutes - seconds)
        return math.ceil(left / seconds_per_update), left


def not_set(where: str) -> UserError:
    """Makes the error for a training without a length."""
    return UserError(
        f"The length of training is not set: give {where}.max_epoch, {where}.max_iters or {where}.max_minutes."
    )
