"""A grid of photographs, shared by the sheets of retrieval."""

from pathlib import Path
from typing import Any

from fashionfae_lavis.reports.pictures import pyplot, save_picture

RIGHT, WRONG = "#1a7f37", "#b35900"


def new_sheet(rows: int, columns: int) -> tuple[Any, Any]:
    """Makes a matplotlib figure and its axes (rows, columns), which need no display."""
    plt = pyplot()
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.2, rect=(0, 0, 1, 0.97))
    figure, axes = plt.subplots(rows, columns, figsize=(17, 2.75 * rows), squeeze=False, layout=layout)
    return figure, axes


def show_image(axis: Any, image: Any, title: str, colour: str = "black") -> None:
    """Shows an image with a title and a frame."""
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=9, color=colour)
    for spine in axis.spines.values():
        spine.set_color(colour)


def show_found(axis: Any, image: Any, rank: int, right: bool) -> None:
    """Shows a retrieved image with its rank, marked as right or wrong."""
    show_image(axis, image, f"image {rank}" + (" ✓" if right else ""), RIGHT if right else WRONG)


def write_above(axis: Any, text: str) -> None:
    """Writes a line of text that begins above an image and may extend over its neighbours."""
    axis.text(0, 1.16, f"“{text}”", fontsize=9, transform=axis.transAxes, va="bottom", in_layout=False)


def save_sheet(figure: Any, path: Path) -> None:
    """Saves the figure as PNG and closes it."""
    save_picture(figure, path, dpi=80)
