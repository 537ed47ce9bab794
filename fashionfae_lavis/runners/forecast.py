"""Tells the user how long a training is: its size when it starts, and the time left after the first updates."""

import logging
from datetime import datetime, timedelta

from fashionfae_lavis.runners.length import RunLength
from fashionfae_lavis.runners.logs import RunLog
from fashionfae_lavis.runners.progress import Progress
from fashionfae_lavis.runners.schedules import IterationSchedule

# The time of an update is averaged over MEASURED updates, because steps differ in cost, or over at least FEWEST once
# PATIENCE seconds have passed. The first update of a session does not count, because it also starts the workers.
MEASURED, FEWEST, PATIENCE = 20, 5, 30.0
FAR = timedelta(days=365)  # an end beyond it is not worth a date


class Forecast:
    """Forecast of the updates, epochs and time of a training, from the updates of this session.

    Args:
        length: length of training.
        samples: number of training samples.
        iters_per_epoch: updates in one pass over them.
    """

    def __init__(self, length: RunLength, samples: int, iters_per_epoch: int):
        self.length, self.samples, self.iters_per_epoch = length, samples, iters_per_epoch
        self._start: tuple[int, float] | None = None  # updates and seconds after the first update
        self._announced = False

    def announce(self, schedule: IterationSchedule, log: RunLog) -> None:
        """Logs the size of the training, and warns of a warm-up that fills it."""
        if self.length.max_minutes is None:
            size = self._size(int(self.length.schedule_length))
        else:
            size = f"{describe_time(60 * self.length.max_minutes)}, on {self.samples:,} samples"
        log.say(f"Training: {size}.")
        if schedule.warmup_steps >= schedule.length:
            log.say(
                "The warm-up takes the whole training, so the learning rate never reaches run.init_lr: lower "
                "run.warmup_steps, or set it to 0 and give run.warmup_share.",
                logging.WARNING,
            )

    def add_update(self, progress: Progress, log: RunLog) -> None:
        """Takes the progress after an update; logs the expected time once enough updates are measured."""
        if self._start is None:
            self._start = progress.iters, progress.seconds
            return
        updates, seconds = progress.iters - self._start[0], progress.seconds - self._start[1]
        more, left = self.length.remaining(progress.iters, progress.seconds, seconds / updates)
        log.expect(progress.iters + more)
        if more and not self._announced and (updates >= MEASURED or (updates >= FEWEST and seconds >= PATIENCE)):
            self._announced = True
            self._announce_time(progress.iters + more, left, seconds / updates, log)

    def _announce_time(self, iters: int, left: float, seconds_per_update: float, log: RunLog) -> None:
        by_clock = self.length.max_minutes is not None
        about = "about " if by_clock else ""
        time = f"about {describe_time(left)} left, {_describe_end(left)}without evaluation"
        log.say(f"Training: {about}{self._size(iters)}: {time}.")
        if by_clock and iters < self.iters_per_epoch:
            needed = describe_time(self.iters_per_epoch * seconds_per_update)
            log.say(
                f"run.max_minutes is {self.length.max_minutes:g}, which is too short to train on every sample once: an "
                f"epoch takes about {needed}.",
                logging.WARNING,
            )

    def _size(self, iters: int) -> str:
        epochs = iters / self.iters_per_epoch
        rounded = f"{epochs:,.1f}" if epochs >= 1 else f"{epochs:.2g}"
        return f"{iters:,} updates, {rounded} epochs of {self.samples:,} samples"


def describe_time(seconds: float) -> str:
    """Describes a time in the unit that suits it.

    >>> describe_time(42.4), describe_time(840), describe_time(3 * 3600), describe_time(4e5)
    ('42 seconds', '14 minutes', '3.0 hours', '4.6 days')
    """
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:,.1f} days"


def _describe_end(seconds: float) -> str:
    if seconds > FAR.total_seconds():
        return ""
    now = datetime.now()
    end = now + timedelta(seconds=seconds)
    return f"until {end:%H:%M} " if end.date() == now.date() else f"until {end:%Y-%m-%d %H:%M} "
