"""A product's fields, or a caption -> the text that the model reads."""

from collections.abc import Mapping

import numpy as np
from lavis.common.registry import registry
from lavis.processors.base_processor import BaseProcessor

from fashionfae_lavis.text.product_text import TEXT_MODES, fashion_text, normalise


@registry.register_processor("fashionfae_text")
class FashionTextProcessor(BaseProcessor):
    """`mode` is one of those of `fashion_text`; the prompts stand in a fixed order, or with `shuffle` in random order,
    drawn from numpy's global generator.

    A plain string is taken for a description. Raises UserError for another mode.
    """

    def __init__(self, mode: str = TEXT_MODES[1], shuffle: bool = False):
        fashion_text({}, mode)  # an unknown mode is an error here, not in the middle of a run
        self.mode = mode
        self.shuffle = shuffle

    def __call__(self, item: Mapping[str, str] | str) -> str:
        fields = {"description": item} if isinstance(item, str) else item
        return fashion_text(fields, self.mode, np.random if self.shuffle else None)

    @classmethod
    def from_config(cls, cfg=None):
        cfg = cfg or {}
        return cls(cfg.get("mode", TEXT_MODES[1]), cfg.get("shuffle", False))


@registry.register_processor("fashionfae_caption")
class FashionCaptionProcessor(BaseProcessor):
    """A caption as it is, without a prompt: its words in lower case, without punctuation."""

    def __call__(self, caption: str) -> str:
        return normalise(caption)

    @classmethod
    def from_config(cls, cfg=None):
        return cls()
