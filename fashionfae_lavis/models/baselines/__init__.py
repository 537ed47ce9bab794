"""LAVIS's BLIP, ALBEF and CLIP at any size, from scratch and offline; importing this package registers them.

The classes are LAVIS's own, and so are their losses. What is ours: sizes, vocabulary and image encoder come from the
configuration, and weights from our checkpoints. LAVIS's names (`blip_retrieval`, `clip`, ...) stay what they are, and
are what our recipes for FashionGen use, with the weights that they download.
"""

from fashionfae_lavis.models.baselines.albef import FashionAlbef, FashionAlbefRecognition, FashionAlbefRetrieval
from fashionfae_lavis.models.baselines.blip import (
    FashionBlip,
    FashionBlipCaption,
    FashionBlipRecognition,
    FashionBlipRetrieval,
)
from fashionfae_lavis.models.baselines.clip import FashionClip

__all__ = [
    "FashionAlbef",
    "FashionAlbefRecognition",
    "FashionAlbefRetrieval",
    "FashionBlip",
    "FashionBlipCaption",
    "FashionBlipRecognition",
    "FashionBlipRetrieval",
    "FashionClip",
]
