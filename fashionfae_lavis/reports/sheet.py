"""A grid of pictures: what the sheets of retrieval have in common."""

from pathlib import Path

import numpy as np

RIGHT, WRONG = "#1a7f37", "#b35900"


def new_sheet(rows: int, columns: int):
    """A matplotlib figure and its axes (rows, columns), drawn without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(17, 2.75 * rows), squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.2, rect=(0, 0, 1, 0.97))
    return figure, axes


def show_image(axis, image: np.ndarray, title: str, colour: str = "black") -> None:
    """An image with a title and a frame."""
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=9, color=colour)
    for spine in axis.spines.values():
        spine.set_color(colour)


def show_found(axis, image: np.ndarray, rank: int, right: bool) -> None:
    """An image of this rank, marked as right or wrong."""
    show_image(axis, image, f"image {rank}" + (" ✓" if right else ""), RIGHT if right else WRONG)


def write_above(axis, text: str) -> None:
    """A line of text that begins above an image and may go on over its neighbours."""
    axis.text(0, 1.16, f"“{text}”", fontsize=9, transform=axis.transAxes, va="bottom", in_layout=False)


def save_sheet(figure, path: Path) -> None:
    """Write the PNG."""
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=80)
    plt.close(figure)
