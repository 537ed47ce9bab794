"""Signals that stop a run: Ctrl-C (SIGINT), SIGTERM, and SIGUSR1, which clusters send before they take a machine away.

The first signal ends the program with an exception, outside of training at once and in training after a checkpoint of
the current update. A second Ctrl-C ends the program without a checkpoint.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []))
REPEATED = 1.0  # seconds; a terminal and torchrun both deliver one Ctrl-C


class Interrupted(BaseException):
    """Raised in the main thread when a signal stops the program.

    Attributes:
        number: the signal.
        folder: the run's folder, where it is known.
    """

    def __init__(self, number: int, folder: Path | None = None):
        super().__init__(number)
        self.number, self.folder = number, folder

    @property
    def status(self) -> int:
        """The conventional exit status."""
        return 128 + self.number


@dataclass
class _Signals:
    """What this process has received. `deferred` counts the blocks that postpone the exception."""

    number: int = 0
    received: float = 0.0
    deferred: int = 0
    process: int = 0


_state = _Signals()


@contextmanager
def interruptible() -> Iterator[None]:
    """Handles the signals within a `with` block, in the main thread."""
    global _state
    _state = _Signals(process=os.getpid())
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state = _Signals()


@contextmanager
def deferred() -> Iterator[None]:
    """Postpones the exception of a signal to the end of the outermost such block. `requested` tells of the signal."""
    _state.deferred += 1
    try:
        yield
    finally:
        _state.deferred -= 1
    if _state.number and not _state.deferred:
        raise Interrupted(_state.number)


def requested() -> int:
    """Returns the signal that this process has received, 0 for none."""
    return _state.number


def ignore_signals() -> None:
    """Leaves the signals to the parent: for a worker process, which receives those sent to the whole group."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: object) -> None:
    if os.getpid() != _state.process:  # a forked process that has not set its own handlers yet
        return
    if _state.number:
        if number == signal.SIGINT and time.monotonic() - _state.received > REPEATED:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        return
    _state.number, _state.received = number, time.monotonic()
    if not _state.deferred:
        raise Interrupted(number)
