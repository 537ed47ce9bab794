"""Image and text processors; importing this package registers them with LAVIS."""

from fashionfae_lavis.processors.images import (
    FashionImageEvalProcessor,
    FashionImageTrainProcessor,
    FashionPhotographProcessor,
)
from fashionfae_lavis.processors.texts import FashionCaptionProcessor, FashionTextProcessor

__all__ = [
    "FashionCaptionProcessor",
    "FashionImageEvalProcessor",
    "FashionImageTrainProcessor",
    "FashionPhotographProcessor",
    "FashionTextProcessor",
]
