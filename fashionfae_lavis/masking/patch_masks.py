"""Masks of image patches: rectangles, as in BEiT (arXiv 2106.08254, algorithm 1)."""

import math

import numpy as np
from numpy.typing import NDArray


def block_mask(
    rng: np.random.Generator,
    grid: int = 7,
    num_patches: int = 8,
    min_block: int = 4,
    max_block: int = 8,
    min_aspect: float = 0.3,
    max_aspect: float = 3.3,
) -> NDArray[np.bool_]:
    """Masks exactly `num_patches` patches of a `grid` x `grid` image with rectangles that may overlap.

    If no rectangle fits the remaining number of patches, single patches complete the mask.

    Args:
        rng: generator of the rectangles.
        grid: number of patches on a side of the image.
        num_patches: number of patches to mask.
        min_block, max_block: range of the number of patches in a rectangle.
        min_aspect, max_aspect: range of height / width before rounding to whole patches, drawn log-uniformly.

    Returns:
        A boolean array (grid * grid,), row by row, True where a patch is masked.

    Raises:
        ValueError: `num_patches` is negative or exceeds the number of patches in the grid.
    """
    if not 0 <= num_patches <= grid * grid:
        raise ValueError(f"num_patches must be between 0 and {grid * grid}, not {num_patches}")
    mask = np.zeros((grid, grid), dtype=bool)
    missing = num_patches
    log_aspects = math.log(min_aspect), math.log(max_aspect)
    for _ in range(100 * num_patches):
        if missing == 0:
            break
        area = rng.uniform(min_block, max_block)
        aspect = math.exp(rng.uniform(*log_aspects))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if max(height, width) > grid or not min_block <= height * width <= max_block:
            continue
        top, left = rng.integers(grid - height + 1), rng.integers(grid - width + 1)
        block = mask[top : top + height, left : left + width]
        new = height * width - np.count_nonzero(block)
        if new <= missing:
            block[:] = True
            missing -= new
    if missing:
        free = np.flatnonzero(~mask)
        mask.reshape(-1)[rng.choice(free, missing, replace=False)] = True
    return mask.reshape(-1)


def batch_block_masks(rng: np.random.Generator, batch: int, grid: int = 7, num_patches: int = 8) -> NDArray[np.bool_]:
    """Draws one `block_mask` per image; returns a boolean array (batch, grid * grid)."""
    masks = [block_mask(rng, grid, num_patches) for _ in range(batch)]
    return np.stack(masks) if masks else np.zeros((0, grid * grid), dtype=bool)
