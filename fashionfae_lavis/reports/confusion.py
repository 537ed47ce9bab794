"""A picture of the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fashionfae_lavis.reports.pictures import pyplot, save_picture

WRITTEN_UP_TO = 40  # classes; with more, the numbers would be too small to read


def draw_confusion(names: Sequence[str], confusion: np.ndarray, path: Path) -> None:
    """Draws a confusion matrix as shares of each row in percent; a class without examples leaves its row empty.

    Args:
        names: K class names, in the order of the rows.
        confusion: counts (K, K) by true class (row) and predicted class (column).
        path: PNG to write.
    """
    plt = pyplot()

    true = confusion.sum(1, keepdims=True)
    shares = np.where(true > 0, 100 * confusion / np.maximum(true, 1), np.nan)
    size = 2.5 + max(4.5, min(0.42, 18 / len(names)) * len(names))
    figure, axis = plt.subplots(figsize=(size, size), layout="constrained")
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    font = 9 if len(names) <= WRITTEN_UP_TO else 6
    labels = [f"{name} ({count})" for name, count in zip(names, true[:, 0], strict=True)]
    axis.set_yticks(range(len(names)), labels, fontsize=font)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
    axis.set_ylabel("true class (images)")
    axis.set_xlabel("predicted class")
    axis.set_title(f"{100 * np.trace(confusion) / confusion.sum():.1f} % of {confusion.sum()} images correct")
    if len(names) <= WRITTEN_UP_TO:
        for row, column in np.argwhere(shares >= 0.5):
            share = shares[row, column]
            colour = "white" if share > 55 else "black"
            axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(picture, ax=axis, shrink=0.6, label="share of the true class, %")
    save_picture(figure, path, dpi=90, bbox_inches="tight")
