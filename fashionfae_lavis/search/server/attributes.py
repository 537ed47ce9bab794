"""Values of attributes read off a photograph, by comparing it with the names of the values (ITC)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fashionfae_lavis.search.encoder import Encoder

SHARPNESS = 30.0  # factor of the cosines in the softmax


@dataclass(frozen=True)
class Reading:
    """The most probable value of an attribute, its probability, and the second."""

    attribute: str
    value: str
    confidence: float
    runner_up: str


class AttributeReader:
    """Chooses among the values that an index has for each attribute.

    Args:
        encoder: the model.
        values: attribute -> two or more values.
    """

    def __init__(self, encoder: Encoder, values: Mapping[str, Sequence[str]]):
        self.encoder, self.values = encoder, values
        self.texts = {name: encoder.embed_texts([value.lower() for value in known]) for name, known in values.items()}

    def read(self, image: Image.Image, attributes: Sequence[str]) -> list[Reading]:
        """Reads attributes off a photograph."""
        vector = self.encoder.embed_images([image])[0]
        return [self._read(name, self.texts[name] @ vector) for name in attributes]

    def _read(self, name: str, cosines: np.ndarray) -> Reading:
        odds = np.exp(SHARPNESS * (cosines - cosines.max()))
        best, second = np.argsort(-odds, kind="stable")[:2]
        return Reading(name, self.values[name][best], float(odds[best] / odds.sum()), self.values[name][second])
