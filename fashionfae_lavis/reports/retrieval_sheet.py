"""A picture of retrieval: the texts that a product's image retrieves, and the images that its text retrieves."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fashionfae_lavis.reports.sheet import RIGHT, WRONG, new_sheet, save_sheet, show_found, show_image, write_above


class RetrievedProduct(NamedTuple):
    """One line of the sheet; an image is anything that numpy reads as (H, W, 3)."""

    image: Any
    text: str
    texts: Sequence[tuple[str, bool]]  # (title, whether it is the product's own), best first
    images: Sequence[tuple[Any, bool]]  # up to five (image, whether it shows the product), best first


def draw_retrieval_sheet(products: Sequence[RetrievedProduct], path: Path) -> None:
    """Draws a PNG with one line per product."""
    figure, axes = new_sheet(len(products), 7)
    for line, product in zip(axes, products, strict=True):
        show_image(line[0], product.image, "query image")
        line[1].axis("off")
        y = 0.98
        for rank, (title, right) in enumerate(product.texts, start=1):
            title = textwrap.fill(f"{rank}. {title}", 24)
            line[1].text(
                0,
                y,
                ("✓ " if right else "   ") + title,
                color=RIGHT if right else WRONG,
                fontsize=9.5,
                weight="bold" if right else "normal",
                va="top",
                in_layout=False,
                transform=line[1].transAxes,
            )
            y -= 0.1 + 0.11 * (title.count("\n") + 1)
        for rank, (axis, (image, right)) in enumerate(zip(line[2:], product.images, strict=False), start=1):
            show_found(axis, image, rank, right)
        for axis in line[2 + len(product.images) :]:
            axis.axis("off")
        write_above(line[2], textwrap.shorten(product.text, 125, placeholder=" …"))
    axes[0][0].set_title("query image", fontsize=10, weight="bold")
    save_sheet(figure, path)
