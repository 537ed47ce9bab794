"""Chart of a comparison: one panel per main figure, with a bar for a system's mean and a dot for each seed."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from fashionfae_lavis.compare.finished import Row
from fashionfae_lavis.compare.table import MAIN, by_system, chance_levels, values

COLOURS = ("#8a8f98", "#2a6f97", "#c8553d", "#4c8c6b", "#8a5fb0", "#c99a2e", "#3d9aa8", "#b0527f")
INK, GREY = "#222222", "#666666"
PANELS = 4  # in one row of the chart


def draw_comparison(rows: Sequence[Row], title: str, path: Path) -> bool:
    """Draws the chart as a PNG file.

    Returns:
        Whether the chart was drawn, which needs a system with a main figure.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    systems, chance = by_system(rows), chance_levels(rows)
    names = [name for name in MAIN if values(rows, name)]
    if not names:
        return False
    columns = min(PANELS, len(names))
    lines = math.ceil(len(names) / columns)
    size = (3.1 * columns + 1.6, lines * (1.15 + 0.34 * len(systems)) + 0.5)
    figure, axes = plt.subplots(lines, columns, sharey=True, squeeze=False, figsize=size, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        for y, system_rows in enumerate(systems.values()):
            found = values(system_rows, name)
            if found:
                axis.barh(y, statistics.fmean(found), 0.62, color=COLOURS[y % len(COLOURS)], zorder=2)
                axis.plot(found, [y] * len(found), "o", color=INK, markersize=3, alpha=0.75, zorder=3)
                label = f" {statistics.fmean(found):.1f}"
                axis.text(max(found), y, label, va="center", fontsize=8, color=INK, zorder=4)
        if name in chance:
            axis.axvline(chance[name], color=INK, linewidth=1.2, linestyle=(0, (3, 2)), zorder=4)
        axis.set_title(MAIN[name], fontsize=9.5, loc="left", weight="bold")
        axis.set_yticks(range(len(systems)), list(systems), fontsize=9)
        axis.set_ylim(len(systems) - 0.4, -0.6)
        axis.set_xlim(0, 1.17 * max(*values(rows, name), chance.get(name, 0), 1))
        axis.tick_params(axis="x", labelsize=8, colors=GREY)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", alpha=0.25, zorder=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    note = "percent; bars: means, dots: seeds, dashed: chance"
    figure.suptitle(f"{title}  ({note})", fontsize=10, x=0.01, ha="left")
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return True
