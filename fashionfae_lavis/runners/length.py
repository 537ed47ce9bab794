"""The length of training, in updates or in minutes."""

from dataclasses import dataclass

from omegaconf import DictConfig

from fashionfae_lavis.errors import UserError


@dataclass(frozen=True)
class RunLength:
    """The length of training, as pure functions of the updates and seconds spent.

    With `max_minutes`, training ends after the first update that reaches this time. The learning rate then follows the
    clock: the schedule for `max_iters` updates is scaled to the minutes. The time includes updates and data loading,
    but neither evaluation nor checkpoints.

    Attributes:
        max_iters: number of updates, or with `max_minutes` the length of the schedule.
        max_minutes: time limit; None for no limit.
    """

    max_iters: int
    max_minutes: float | None = None

    @classmethod
    def of(cls, run: DictConfig, iters_per_epoch: int) -> "RunLength":
        """Reads `max_iters`, or else `max_epoch`, and `max_minutes` from the `run` section.

        Raises:
            UserError: neither of the first two is set, or `max_minutes` is neither null nor a number above 0.
        """
        if run.get("max_iters"):
            max_iters = int(run.max_iters)
        elif run.get("max_epoch"):
            max_iters = int(run.max_epoch) * iters_per_epoch
        else:
            raise UserError("The length of training is not set: give run.max_iters or run.max_epoch.")
        minutes = run.get("max_minutes")
        number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if minutes is not None and not (number and minutes > 0):
            raise UserError(f"run.max_minutes is {minutes!r}, but must be a number above 0, or null for no limit.")
        return cls(max_iters, minutes)

    def is_over(self, iters: int, seconds: float) -> bool:
        """Returns whether training ends after this many updates and seconds."""
        return iters >= self.max_iters if self.max_minutes is None else seconds >= 60 * self.max_minutes

    def schedule_step(self, iters: int, seconds: float) -> float:
        """Returns the step of the learning-rate schedule for the next update, fractional with `max_minutes`."""
        if self.max_minutes is None:
            return iters
        return self.max_iters * min(1.0, seconds / (60 * self.max_minutes))
