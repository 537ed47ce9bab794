"""Checks of what the package has read from an input that it accepted."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .harness import Wrong


def check_texts(texts: Iterable[Any]) -> None:
    """Raises Wrong if something else than a text is among the texts."""
    for text in texts:
        if not isinstance(text, str):
            raise Wrong(f"a text is a {type(text).__name__}")


def check_columns(file: Any) -> None:
    """Raises Wrong if the columns of a file of products differ in length, or hold something else than texts."""
    if {len(texts) for texts in file.texts.values()} != {len(file.product_ids)}:
        raise Wrong("the columns differ in length")
    check_texts(text for texts in file.texts.values() for text in texts)


def check_pixels(image: np.ndarray) -> None:
    """Raises Wrong if an image is not height x width x RGB in bytes."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise Wrong(f"an image of {image.dtype} {image.shape}")
