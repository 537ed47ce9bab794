"""A picture of text-guided retrieval: reference images, what is asked for, and what is found."""

import textwrap
from pathlib import Path

import numpy as np

from fashionfae_lavis.reports.sheet import new_sheet, save_sheet, show_found, show_image, write_above


def draw_composition_sheet(
    dataset, queries: np.ndarray, gallery: np.ndarray, path: Path, rows: int = 5, seed: int = 0
) -> None:
    """Draw `rows` requests with the five best images among all of their garment class.

    Args:
        dataset: evaluation data set with `photograph(key)`, `keys`, `row_class`, `reference`, `target`, `texts`; see
            FashionIQEvalDataset.
        queries, gallery: unit-length embeddings (Q, D) of its requests and (N, D) of its images.
        path: PNG to write.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(queries), size=min(rows, len(queries)), replace=False)
    figure, axes = new_sheet(len(chosen), 7)
    for line, query in zip(axes, chosen, strict=True):
        reference, target = dataset.reference[query], dataset.target[query]
        members = np.flatnonzero(dataset.row_class == dataset.row_class[target])
        found = members[np.argsort(-(gallery[members] @ queries[query]), kind="stable")[:5]]
        show_image(line[0], _picture(dataset, reference), "reference")
        show_image(line[1], _picture(dataset, target), "asked for")
        write_above(line[0], textwrap.shorten(dataset.texts[query], 125, placeholder=" …"))
        for rank, (axis, best) in enumerate(zip(line[2:], found, strict=False), start=1):
            show_found(axis, _picture(dataset, best), rank, best == target)
        for axis in line[2 + len(found) :]:
            axis.axis("off")
    save_sheet(figure, path)


def _picture(dataset, row: int) -> np.ndarray:
    return np.asarray(dataset.photograph(dataset.keys[row]))
