"""The checkpoint files of a run, and when they were written."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lavis.common.dist_utils import is_main_process

from fashionfae_lavis.checkpoints import save_atomically
from fashionfae_lavis.runners.output_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, PREVIOUS_CHECKPOINT


class CheckpointWriter:
    """Writes the checkpoints of a run. Only the first process writes, and only there `is_due` may be true.

    Args:
        folder: the run's folder.
        minutes: longest time between two checkpoints; None for no limit.
    """

    def __init__(self, folder: Path, minutes: float | None):
        self.folder, self.minutes = folder, minutes
        self._written = time.monotonic()

    def is_due(self) -> bool:
        """Returns whether `minutes` have passed since the last checkpoint, or since the start."""
        if self.minutes is None or not is_main_process():
            return False
        return time.monotonic() - self._written >= 60 * self.minutes

    def write(self, state: Mapping[str, Any], best: bool = False) -> None:
        """Writes the last checkpoint and keeps the one before; `best` also writes it as the best one.

        Raises:
            UserError: a file cannot be written.
        """
        if not is_main_process():
            return
        if best:  # written first: a run that is killed between the two writes both again when it resumes
            save_atomically(state, self.folder / BEST_CHECKPOINT)
        save_atomically(state, self.folder / LAST_CHECKPOINT, self.folder / PREVIOUS_CHECKPOINT)
        self._written = time.monotonic()
