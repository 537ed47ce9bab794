"""Learning rates as pure functions of the iteration, so that a resumed run needs no schedule state.

Each function returns a factor by which the initial learning rate of every parameter group is multiplied. `iteration`
counts updates from 0, and is fractional in a run whose length is in minutes (see `RunLength.schedule_step`). The linear
warm-up goes from `warmup_factor` at iteration 0 to 1 at `warmup_steps`.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

from lavis.common.registry import registry
from omegaconf import DictConfig
from torch.optim import Optimizer


def linear_warmup(iteration: float, warmup_steps: float, warmup_factor: float) -> float:
    """Returns the warm-up factor, which is 1 from `warmup_steps` on."""
    if iteration >= warmup_steps:
        return 1.0
    return warmup_factor + (1 - warmup_factor) * iteration / warmup_steps


def multistep(iteration: float, milestones: Sequence[int], decay_rate: float) -> float:
    """Returns `decay_rate` to the power of the number of milestones reached."""
    return decay_rate ** bisect_right(sorted(milestones), iteration)


def cosine(iteration: float, start: float, end: float, lowest: float) -> float:
    """Follows half a cosine wave from 1 at `start` to `lowest` at `end`; constant before and after."""
    progress = min(max((iteration - start) / max(end - start, 1e-9), 0.0), 1.0)
    return lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2


class IterationSchedule:
    """Base class of the registered schedules.

    Args:
        optimizer: optimizer whose groups have an `initial_lr`.
        run: the `run` section, with `init_lr`, `warmup_factor` (default 0.25), and `warmup_steps` (default 0) or
            `warmup_share`, a share of the length.
        length: length of the schedule, such as the number of updates.

    Attributes:
        depends_on_length: whether the rate after the warm-up depends on the length.
        warmup_steps: length of the warm-up.
    """

    depends_on_length = True

    def __init__(self, optimizer: Optimizer, run: DictConfig, length: float):
        self.optimizer = optimizer
        self.init_lr = float(run.init_lr)
        self.length = length
        share = run.get("warmup_share")
        self.warmup_steps = float(run.get("warmup_steps", 0)) if share is None else share * length
        self.warmup_factor = float(run.get("warmup_factor", 0.25))

    def factor(self, iteration: float) -> float:
        """Returns the factor of the initial learning rate at this iteration."""
        return linear_warmup(iteration, self.warmup_steps, self.warmup_factor)

    def step(self, iteration: float) -> float:
        """Sets the learning rate of every group; returns the rate of a group without `lr_scale`."""
        factor = self.factor(iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        return self.init_lr * factor


@registry.register_lr_scheduler("linear_warmup_multistep_iter")
class LinearWarmupMultistep(IterationSchedule):
    """Schedule with warm-up that multiplies by `lr_decay_rate` (default 0.1) at each of `milestones` (default none)."""

    depends_on_length = False

    def __init__(self, optimizer: Optimizer, run: DictConfig, length: float):
        super().__init__(optimizer, run, length)
        self.milestones = list(run.get("milestones", []))
        self.decay_rate = float(run.get("lr_decay_rate", 0.1))

    def factor(self, iteration: float) -> float:
        return super().factor(iteration) * multistep(iteration, self.milestones, self.decay_rate)


@registry.register_lr_scheduler("linear_warmup_cosine_iter")
class LinearWarmupCosine(IterationSchedule):
    """Schedule with warm-up that follows half a cosine wave down to `min_lr` (default 0) at the last iteration.

    A group with a scaled learning rate ends at `min_lr` times the same scale.
    """

    def __init__(self, optimizer: Optimizer, run: DictConfig, length: float):
        super().__init__(optimizer, run, length)
        self.lowest = float(run.get("min_lr", 0)) / self.init_lr

    def factor(self, iteration: float) -> float:
        return super().factor(iteration) * cosine(iteration, self.warmup_steps, self.length, self.lowest)
