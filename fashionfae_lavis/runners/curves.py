"""Picture of a run's losses, drawn from its metrics file."""

from pathlib import Path

import numpy as np

from fashionfae_lavis.reports.pictures import optional_picture, pyplot, save_picture
from fashionfae_lavis.runners.logs import objective_losses, read_metrics

COLOURS = ("#3b6fb6", "#c8553d", "#4c9a6a", "#8a5fb0", "#c99a2e", "#3d9aa8", "#b0527f")
GREY = "#555555"


@optional_picture("curves.png")
def draw_curves(metrics_path: str | Path, png_path: str | Path) -> None:
    """Plots each objective (raw and smoothed), the validation metric if there is one, and the learning rate.

    Args:
        metrics_path: a run's `metrics.jsonl`. Without a training line in it, no picture is written.
        png_path: the picture to write.
    """
    lines = read_metrics(Path(metrics_path))
    training = [line for line in lines if line["phase"] == "train"]
    validation = [line for line in lines if line["phase"] == "validation" and "agg_metrics" in line]
    if not training:
        return
    losses = objective_losses(dict.fromkeys(name for line in training for name in line))
    panels = len(losses) + bool(validation) + 1
    columns = min(panels, 3 if panels <= 6 else 4)
    rows = -(-panels // columns)
    figure, grid = pyplot().subplots(rows, columns, figsize=(4.2 * columns, 2.9 * rows), squeeze=False)
    axes = list(grid.flat)
    for axis, name, colour in zip(axes, losses, COLOURS * len(losses), strict=False):
        iterations, values = _series(training, name)
        axis.plot(iterations, values, color=colour, alpha=0.25, linewidth=0.8)
        axis.plot(iterations, smooth(values), color=colour, linewidth=1.8)
        title = name.removeprefix("loss_").replace("_", " ").upper()
        _label(axis, f"{title}  {smooth(values)[-1]:.3g}", "loss")
    if validation:
        axis = axes[len(losses)]
        iterations, values = _series(validation, "agg_metrics")
        axis.plot(iterations, values, color=GREY, linewidth=1.5, marker="o", markersize=4)
        _label(axis, f"validation  {values[-1]:.3g}", "agg_metrics")
    axis = axes[panels - 1]
    axis.plot(*_series(training, "lr"), color=GREY, linewidth=1.5)
    axis.yaxis.set_major_formatter("{x:.2g}")
    _label(axis, "learning rate", "")
    for axis in axes[panels:]:
        axis.remove()
    figure.tight_layout()
    save_picture(figure, Path(png_path), dpi=130)


def smooth(values: np.ndarray) -> np.ndarray:
    """Averages over a moving window of a tenth of the series, truncated at the ends."""
    window = np.ones(len(values) // 20 * 2 + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _series(lines: list[dict], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the iterations of the lines that have a value of this name, and the values."""
    iterations, values = np.array([(line["iteration"], line[name]) for line in lines if name in line], dtype=float).T
    return iterations, values


def _label(axis, title: str, ylabel: str) -> None:
    axis.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axis.set_ylabel(ylabel, fontsize=8, color=GREY)
    axis.set_xlabel("iteration", fontsize=8, color=GREY)
    axis.tick_params(labelsize=8, colors=GREY)
    axis.grid(alpha=0.2)
    axis.spines[["top", "right"]].set_visible(False)
