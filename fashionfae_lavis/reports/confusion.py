"""A picture of the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fashionfae_lavis.reports.pictures import pyplot, save_picture

MOST = 40  # classes; with more, the names and numbers would be too small to read
KEPT = 30  # classes of a larger matrix that are drawn, those with the most errors
OTHER = "other classes"


def draw_confusion(names: Sequence[str], confusion: np.ndarray, path: Path) -> None:
    """Draws a confusion matrix as shares of each row in percent.

    Classes that are neither true nor predicted are left out. Of more than forty classes, the thirty with the most
    errors are drawn, most errors first, and one more column sums up the predictions of all others.

    Args:
        names: K class names, in the order of the rows.
        confusion: counts (K, K) by true class (row) and predicted class (column).
        path: PNG to write.
    """
    plt = pyplot()

    right, images = np.trace(confusion), confusion.sum()
    title = f"{100 * right / images:.1f} % of {images} images correct"
    occurs = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    names, confusion = [names[index] for index in occurs], confusion[np.ix_(occurs, occurs)]
    if len(names) > MOST:
        title += f"\nthe {KEPT} of {len(names)} classes with the most errors"
        names, confusion = most_errors(names, confusion, KEPT)
    true = confusion.sum(1, keepdims=True)
    shares = np.where(true > 0, 100 * confusion / np.maximum(true, 1), np.nan)
    size = 2.5 + max(4.5, min(0.42, 18 / len(names)) * len(names))
    figure, axis = plt.subplots(figsize=(size, size), layout="constrained")
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    labels = [f"{name} ({count})" for name, count in zip(names, true[:, 0], strict=False)]
    axis.set_yticks(range(len(labels)), labels, fontsize=9)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
    axis.set_ylabel("true class (images)")
    axis.set_xlabel("predicted class")
    axis.set_title(title)
    for row, column in np.argwhere(shares >= 0.5):
        share = shares[row, column]
        colour = "white" if share > 55 else "black"
        axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(picture, ax=axis, shrink=0.6, label="share of the true class, %")
    save_picture(figure, path, dpi=90, bbox_inches="tight")


def most_errors(names: Sequence[str], confusion: np.ndarray, most: int) -> tuple[list[str], np.ndarray]:
    """Keeps the classes that are most often mistaken for another or predicted in error.

    Returns:
        The names of `most` classes, most errors first, and "other classes"; the counts (most, most + 1), with all
        other predictions in the last column.
    """
    errors = confusion.sum(0) + confusion.sum(1) - 2 * np.diag(confusion)
    order = np.argsort(-errors, kind="stable")
    kept, rest = order[:most], order[most:]
    others = confusion[np.ix_(kept, rest)].sum(1, keepdims=True)
    return [*(names[index] for index in kept), OTHER], np.hstack([confusion[np.ix_(kept, kept)], others])
