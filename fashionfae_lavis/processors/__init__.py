"""Image and text processors, registered with LAVIS when this package is imported."""

from fashionfae_lavis.processors.images import FashionImageEvalProcessor, FashionImageTrainProcessor
from fashionfae_lavis.processors.texts import FashionCaptionProcessor, FashionTextProcessor

__all__ = ["FashionCaptionProcessor", "FashionImageEvalProcessor", "FashionImageTrainProcessor", "FashionTextProcessor"]
