"""One interface for every model that can be evaluated: `adapt(model)` picks the adapter of its family.

Only these modules check which class a model belongs to, or which parts it has.
"""

from typing import Any

from lavis.models.albef_models import AlbefBase
from lavis.models.blip_models.blip import BlipBase
from lavis.models.clip_models.model import CLIP
from torch import nn

from fashionfae_lavis.models.adapters.albef import AlbefAdapter
from fashionfae_lavis.models.adapters.base import Adapter, TextLimit
from fashionfae_lavis.models.adapters.blip import BlipAdapter
from fashionfae_lavis.models.adapters.clip import ClipAdapter
from fashionfae_lavis.models.adapters.fashionfae import FashionFAEAdapter
from fashionfae_lavis.models.baselines.scratch import NewHead
from fashionfae_lavis.models.composition import FashionComposition
from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.models.recognition import FashionRecognition
from fashionfae_lavis.models.retrieval import FashionRetrieval
from fashionfae_lavis.objectives import OBJECTIVES

__all__ = ["Adapter", "AlbefAdapter", "BlipAdapter", "ClipAdapter", "FashionFAEAdapter", "TextLimit", "adapt"]


def adapt(model: nn.Module) -> Adapter:
    """Wraps a model in the adapter of its family, whose flags say what the model can do.

    A model of any other family has the flag `embeds` if it has LAVIS's `extract_features`, and `writes` if it has
    LAVIS's `generate`.
    """
    flags: dict[str, Any] = {
        "writes": hasattr(model, "generate"),
        "classifies": hasattr(model, "predict"),
        "classifier_is_new": isinstance(model, (FashionRecognition, NewHead)) and model.head_is_new,
        "tokenizes_images": isinstance(model, ImageTokenizer),
    }
    if isinstance(model, FashionEncoders):
        whole = isinstance(model, FashionFAE)
        embeds = isinstance(model, FashionRetrieval)
        flags |= {"embeds": embeds, "exports": embeds, "contrasts": embeds, "locates": embeds}
        flags |= {"matches": whole, "predicts_words": whole}
        objectives = tuple(OBJECTIVES) if whole else ("itc",) * embeds
        composes = isinstance(model, FashionComposition)
        return FashionFAEAdapter(model, composes=composes, objectives=objectives, **flags)
    if isinstance(model, CLIP):
        return ClipAdapter(model, embeds=True, exports=True, contrasts=True, **flags)
    if hasattr(model, "extract_features"):
        return Adapter(model, embeds=True, **flags)
    if isinstance(model, (BlipBase, AlbefBase)):
        family = BlipAdapter if isinstance(model, BlipBase) else AlbefAdapter
        embeds = hasattr(model, "vision_proj") and hasattr(model, "text_proj")
        return family(model, embeds=embeds, exports=embeds, matches=hasattr(model, "itm_head"), **flags)
    return Adapter(model, **flags)
