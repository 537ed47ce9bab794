"""A picture of search results: what was asked, and the products found."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fashionfae_lavis.reports.sheet import new_sheet, save_sheet, show_image, write_above

COLUMNS = 6


class FoundProduct(NamedTuple):
    """A cell of the sheet."""

    image: Any  # anything that numpy reads as (H, W, 3); None for a product without an image
    title: str
    score: float


def draw_search_sheet(asked: str, image: Any, found: Sequence[FoundProduct], path: Path) -> None:
    """Draws a PNG: the photograph that was searched by, if any, then the products, best first.

    Args:
        asked: the query in words, written above.
        image: the photograph or the liked product; None for a query of words.
        found: the products.
        path: PNG to write.
    """
    cells = ([("query", image)] if image is not None else []) + [
        (f"{rank}. {each.score:.3f}\n{textwrap.shorten(each.title, 34, placeholder=' …')}", each.image)
        for rank, each in enumerate(found, start=1)
    ]
    figure, axes = new_sheet(max(1, -(-len(cells) // COLUMNS)), COLUMNS)
    for axis, (title, picture) in zip(axes.flat, cells, strict=False):
        if picture is None:
            axis.axis("off")
            axis.set_title(title, fontsize=9)
        else:
            show_image(axis, picture, title)
    for axis in axes.flat[len(cells) :]:
        axis.axis("off")
    write_above(axes.flat[0], textwrap.shorten(asked, 150, placeholder=" …"))
    save_sheet(figure, path)
