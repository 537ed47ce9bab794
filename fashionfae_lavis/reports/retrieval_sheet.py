"""A picture of retrieval: products with the texts they retrieve, and texts with the images they retrieve."""

import textwrap
from pathlib import Path

import numpy as np

from fashionfae_lavis.masking.product_text import fashion_text

RIGHT, WRONG = "#1a7f37", "#b35900"


def draw_retrieval_sheet(
    dataset, images: np.ndarray, texts: np.ndarray, path: Path, rows: int = 4, seed: int = 0
) -> None:
    """Draw `rows` products with their three best texts and, for the same products' texts, their five best images.

    Args:
        dataset: evaluation data set with `file.image(row)` (H, W, 3), `row_product`, `product_fields`.
        images, texts: unit-length embeddings (N, D) of its rows and (M, D) of its products.
        path: PNG to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(seed)
    products = rng.choice(len(texts), size=min(rows, len(texts)), replace=False)
    first_row = np.full(len(texts), -1)
    first_row[dataset.row_product[::-1]] = np.arange(len(dataset.row_product))[::-1]
    figure, axes = plt.subplots(
        len(products), 7, figsize=(17, 2.75 * len(products)), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.2, rect=(0, 0, 1, 0.97))
    for line, product in zip(axes, products, strict=True):
        row = first_row[product]
        _show(line[0], dataset.file.image(row), "query image", "black")
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
            right = dataset.row_product[best] == product
            _show(
                place,
                dataset.file.image(best),
                f"image {rank}" + (" ✓" if right else ""),
                RIGHT if right else WRONG,
            )
        query = fashion_text(dataset.product_fields(product), "description").removeprefix("the image description is ")
        query = textwrap.shorten(query, 125, placeholder=" …")
        line[2].text(0, 1.16, f"“{query}”", fontsize=9, transform=line[2].transAxes, va="bottom", in_layout=False)
    axes[0][0].set_title("query image", fontsize=10, weight="bold")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _show(axis, image: np.ndarray, title: str, colour: str) -> None:
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=9, color=colour)
    for spine in axis.spines.values():
        spine.set_color(colour)
