"""Text processors, which turn a product's fields or a caption into the text that the model reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lavis.common.registry import registry
from lavis.processors.base_processor import BaseProcessor

from fashionfae_lavis.text.product_text import TEXT_MODES, fashion_text, normalise


@registry.register_processor("fashionfae_text")
class FashionTextProcessor(BaseProcessor):
    """Processor that builds the text of a product; a plain string counts as its description.

    Args:
        mode: one of the modes of `fashion_text`.
        shuffle: whether to shuffle the prompts (numpy's global generator).

    Raises:
        UserError: the mode is unknown.
    """

    def __init__(self, mode: str = TEXT_MODES[1], shuffle: bool = False):
        fashion_text({}, mode)  # raises for an unknown mode now, not in the middle of a run
        self.mode = mode
        self.shuffle = shuffle

    def __call__(self, item: Mapping[str, str] | str) -> str:
        fields = {"description": item} if isinstance(item, str) else item
        return fashion_text(fields, self.mode, np.random if self.shuffle else None)

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any] | None = None) -> "FashionTextProcessor":
        cfg = cfg or {}
        return cls(cfg.get("mode", TEXT_MODES[1]), cfg.get("shuffle", False))


@registry.register_processor("fashionfae_caption")
class FashionCaptionProcessor(BaseProcessor):
    """Processor that normalises a caption to lower-case words without punctuation, and adds no prompt."""

    def __call__(self, caption: str) -> str:
        return normalise(caption)

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any] | None = None) -> "FashionCaptionProcessor":
        return cls()
