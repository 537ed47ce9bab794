"""LAVIS's BLIP, ALBEF and CLIP at any size, from scratch and offline; importing this package registers them.

The classes and losses are LAVIS's. Sizes, vocabulary and image encoder come from the configuration, and weights from
checkpoints of this package. LAVIS's own models (`blip_retrieval`, `clip`, ...) keep their names. The recipes for
FashionGen use them with downloaded weights.
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
