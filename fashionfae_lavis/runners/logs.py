"""The progress bar, `metrics.jsonl` and TensorBoard scalars of a run."""

import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from lavis.common.dist_utils import is_main_process
from tqdm import tqdm

from fashionfae_lavis.distributed import gather_objects
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing

METRICS_FILE = "metrics.jsonl"
SMOOTHING = 0.95  # exponential smoothing of the losses in the progress bar
RATE_SMOOTHING = 0.05  # tqdm's smoothing of the time per update; with its default the expected end jumps between steps


class RunLog:
    """Log of one run. Only the first process writes, but all processes must call `write_losses`.

    Each line of `metrics.jsonl` is a JSON object with `phase` (train, validation or test) and `iteration` (updates
    done). A training line also holds `lr`, `seconds` (per update) and the mean of every loss since the previous line.
    A validation or test line holds `split` and the task's results.

    Args:
        folder: the run's output folder.
        start: number of updates done; later lines and all test lines are dropped. None drops nothing.
        unvalidated: whether the validation after these updates is still to be done. Its lines are then dropped, too.
        end: number of updates of the whole run, for the progress bar; infinity if unknown (see `expect`), None for no
            bar.
    """

    def __init__(self, folder: Path, start: int | None = None, end: float | None = None, unvalidated: bool = False):
        self._window: dict[str, list[float]] = defaultdict(list)
        self._smoothed: dict[str, float] = {}
        self._validation = ""
        self._window_start = time.perf_counter()
        self._updates = 0
        self._file: IO[str] | None = None
        self._board: Any = None
        self._bar: tqdm | None = None
        if is_main_process():
            from torch.utils.tensorboard import SummaryWriter  # takes a second to import

            path = folder / METRICS_FILE
            if start is not None:
                _keep_lines_until(start, path, unvalidated)
            self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 (closed in __exit__)
            self._board = SummaryWriter(folder / "tensorboard", purge_step=None if start is None else start + 1)
            if end is not None:
                interval = 0.1 if sys.stderr.isatty() else 10  # seconds; log files get fewer lines
                self._bar = tqdm(
                    **{"total": end, "initial": start or 0, "desc": "training", "unit": "it"},
                    **{"mininterval": interval, "smoothing": RATE_SMOOTHING},
                )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_) -> None:
        for output in (self._bar, self._board, self._file):
            with suppress(OSError):  # a full disk, which writing has reported
                if output is not None:
                    output.close()

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Logs a line above the progress bar."""
        if is_main_process():
            with tqdm.external_write_mode(sys.stderr):
                logging.log(level, text)

    def expect(self, end: int) -> None:
        """Sets the number of updates at which the progress bar will be full."""
        if self._bar is not None:
            self._bar.total = end

    def add_losses(self, losses: dict[str, float]) -> None:
        """Adds the losses of one update on this process."""
        self._updates += 1
        for name, value in losses.items():
            self._window[name].append(value)
            self._smoothed[name] = SMOOTHING * self._smoothed.get(name, value) + (1 - SMOOTHING) * value
        if self._bar is not None:
            names = objective_losses(self._smoothed)
            shown = [f"{name.removeprefix('loss_')} {self._smoothed[name]:.3f}" for name in names]
            self._bar.set_postfix_str("  ".join(filter(None, [*shown, self._validation])), refresh=False)
            self._bar.update()

    def write_losses(self, iteration: int, lr: float) -> None:
        """Writes one line with the mean over the updates since the previous line and over the processes."""
        means = gather_objects({name: sum(values) / len(values) for name, values in self._window.items()})
        now = time.perf_counter()
        seconds = (now - self._window_start) / max(self._updates, 1)
        self._window.clear()
        self._window_start, self._updates = now, 0
        if self._file is not None:
            line = {"lr": lr, "seconds": seconds}
            for name in dict.fromkeys(name for process in means for name in process):
                values = [process[name] for process in means if name in process]
                line[name] = sum(values) / len(values)
            self._write(self._file, "train", iteration, line)

    def write_results(self, phase: str, iteration: int, split: str, results: Mapping[str, Any]) -> None:
        """Writes the task's results for a split; `phase` is validation or test."""
        if self._file is not None:
            self._write(self._file, phase, iteration, {"split": split, **results})
            if "agg_metrics" in results:
                self._validation = f"{split} {results['agg_metrics']:.4g}"
        self._window_start = time.perf_counter()  # evaluation does not count as training time

    def _write(self, file: IO[str], phase: str, iteration: int, values: Mapping[str, Any]) -> None:
        plain = _plain(values)
        try:
            file.write(json.dumps({"phase": phase, "iteration": iteration, **plain}) + "\n")
            for name, value in plain.items():
                if isinstance(value, float | int):
                    self._board.add_scalar(f"{phase}/{name}", value, iteration)
        except OSError as error:
            raise UserError(f"Cannot write {file.name} ({error.strerror}): free some space, then resume.") from error


def _keep_lines_until(iteration: int, path: Path, unvalidated: bool) -> None:
    """Drops the lines that a run resuming at `iteration` will write again."""

    def is_kept(line: dict[str, Any]) -> bool:
        again = line["phase"] == "validation" and unvalidated and line["iteration"] == iteration
        return line["iteration"] <= iteration and line["phase"] != "test" and not again

    lines = [line for line in read_metrics(path) if is_kept(line)]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def objective_losses(names: Iterable[str]) -> list[str]:
    """Returns the names of the losses of single objectives, or of the total loss if there are none."""
    names = list(names)
    return [name for name in names if name.startswith("loss_")] or [name for name in names if name == "loss"]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the lines of a metrics file, if it exists; skips damaged lines, such as the last one of a killed run."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if isinstance(line, dict) and isinstance(line.get("iteration"), int) and "phase" in line:
                lines.append(line)
    return lines


def _plain(value: Any) -> Any:
    """Converts a value to JSON types and rounds floats to six significant digits."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value if isinstance(value, int | str | None) else str(value)
