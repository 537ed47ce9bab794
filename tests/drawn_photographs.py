"""Small photographs of coarse colours."""

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(seed: int, size: tuple[int, int] = (40, 60)) -> Image.Image:
    """Draws a photograph of coarse colours."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR)


def save_photographs(folder: Path, count: int) -> list[str]:
    """Writes `count` photographs as PNG; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{seed:04}.png" for seed in range(count)]
    for seed, name in enumerate(names):
        photograph(seed).save(folder / name)
    return names
