"""A picture of text-guided retrieval: reference image, request, target and the images found."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fashionfae_lavis.reports.sheet import new_sheet, save_sheet, show_found, show_image, write_above


class ComposedQuery(NamedTuple):
    """One line of the sheet; an image is anything that numpy reads as (H, W, 3)."""

    reference: Any
    target: Any
    text: str
    images: Sequence[tuple[Any, bool]]  # up to five (image, whether it is the target), best first


def draw_composition_sheet(queries: Sequence[ComposedQuery], path: Path) -> None:
    """Draws a PNG with one line per query."""
    figure, axes = new_sheet(len(queries), 7)
    for line, query in zip(axes, queries, strict=True):
        show_image(line[0], query.reference, "reference")
        show_image(line[1], query.target, "target")
        write_above(line[0], textwrap.shorten(query.text, 125, placeholder=" …"))
        for rank, (axis, (image, right)) in enumerate(zip(line[2:], query.images, strict=False), start=1):
            show_found(axis, image, rank, right)
        for axis in line[2 + len(query.images) :]:
            axis.axis("off")
    save_sheet(figure, path)
