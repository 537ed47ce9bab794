"""Which patches of the image are hidden: rectangles, as in BEiT (arXiv 2106.08254, algorithm 1)."""

import math

import numpy as np


def block_mask(
    rng: np.random.Generator,
    grid: int = 7,
    num_patches: int = 8,
    min_block: int = 4,
    max_block: int = 8,
    min_aspect: float = 0.3,
    max_aspect: float = 3.3,
) -> np.ndarray:
    """Hide exactly `num_patches` patches of a `grid` x `grid` image with rectangles that may overlap.

    A rectangle has `min_block` to `max_block` patches. Its height / width, before rounding to whole
    patches, is drawn log-uniformly between the two aspects. Where no rectangle fits the rest, single
    patches fill up.

    Returns a boolean array of shape (grid * grid,), row by row, True = hidden. Raises ValueError for more
    patches than the grid has.
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


def batch_block_masks(rng: np.random.Generator, batch: int, grid: int = 7, num_patches: int = 8) -> np.ndarray:
    """One independent `block_mask` per image: boolean array of shape (batch, grid * grid)."""
    masks = [block_mask(rng, grid, num_patches) for _ in range(batch)]
    return np.stack(masks) if masks else np.zeros((0, grid * grid), dtype=bool)
