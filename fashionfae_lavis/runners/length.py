"""How long a run trains: a number of updates, or minutes."""

from dataclasses import dataclass

from omegaconf import DictConfig

from fashionfae_lavis.errors import UserError


@dataclass(frozen=True)
class RunLength:
    """The length of training, as pure functions of what has been done.

    With `max_minutes` training ends with the first update after these minutes, however many updates they were, and the
    learning rate follows the clock: the schedule is written for `max_iters` updates and stretched, or squeezed, onto
    the minutes. What counts is time in updates, reading their data included, evaluation and checkpoints not.
    """

    max_iters: int
    max_minutes: float | None = None

    @classmethod
    def of(cls, run: DictConfig, max_iters: int) -> "RunLength":
        """From `run.max_minutes`; UserError if it is neither null nor a number above 0."""
        minutes = run.get("max_minutes")
        number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if minutes is not None and not (number and minutes > 0):
            raise UserError(f"run.max_minutes is {minutes!r}, but must be a number above 0, or null for no limit.")
        return cls(max_iters, minutes)

    def is_over(self, iters: int, seconds: float) -> bool:
        """Whether training ends after this many updates, which took this many seconds."""
        return iters >= self.max_iters if self.max_minutes is None else seconds >= 60 * self.max_minutes

    def place(self, iters: int, seconds: float) -> float:
        """The iteration whose learning rate is due."""
        if self.max_minutes is None:
            return iters
        return self.max_iters * min(1.0, seconds / (60 * self.max_minutes))
