"""A picture of retrieval: products with the texts they retrieve, and texts with the images they retrieve."""

import textwrap
from pathlib import Path

import numpy as np

from fashionfae_lavis.reports.sheet import RIGHT, WRONG, new_sheet, save_sheet, show_found, show_image, write_above
from fashionfae_lavis.text.product_text import fashion_text


def draw_retrieval_sheet(
    dataset, images: np.ndarray, texts: np.ndarray, path: Path, rows: int = 4, seed: int = 0
) -> None:
    """Draw `rows` products with their three best texts and, for the same products' texts, their five best images.

    Args:
        dataset: evaluation data set with `file.image(row)` (H, W, 3), `row_product`, `product_fields`.
        images, texts: unit-length embeddings (N, D) of its rows and (M, D) of its products.
        path: PNG to write.
    """
    rng = np.random.default_rng(seed)
    products = rng.choice(len(texts), size=min(rows, len(texts)), replace=False)
    first_row = np.full(len(texts), -1)
    first_row[dataset.row_product[::-1]] = np.arange(len(dataset.row_product))[::-1]
    figure, axes = new_sheet(len(products), 7)
    for line, product in zip(axes, products, strict=True):
        row = first_row[product]
        show_image(line[0], dataset.file.image(row), "query image")
        line[1].axis("off")
        y = 0.98
        for rank, best in enumerate(np.argsort(-(texts @ images[row]), kind="stable")[:3], start=1):
            title = textwrap.fill(f"{rank}. {dataset.product_fields(best)['title']}", 24)
            right = best == product
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
        found = np.argsort(-(images @ texts[product]), kind="stable")[:5]
        for rank, (place, best) in enumerate(zip(line[2:], found, strict=True), start=1):
            show_found(place, dataset.file.image(best), rank, dataset.row_product[best] == product)
        query = fashion_text(dataset.product_fields(product), "description").removeprefix("the image description is ")
        query = textwrap.shorten(query, 125, placeholder=" …")
        write_above(line[2], query)
    axes[0][0].set_title("query image", fontsize=10, weight="bold")
    save_sheet(figure, path)
