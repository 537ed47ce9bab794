"""Values of attributes read off a photograph: comparison with the prompts of the values (ITC).

The products of the index calibrate the confidence, by their vectors and known values. That takes milliseconds, where
`fashionfae label` reads photographs again and chooses among more ways; see labels.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.evaluation.attribute_questions import prompt
from fashionfae_lavis.search.calibration import Calibration, Floats, fit_calibration
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.labels import FEWEST, Label
from fashionfae_lavis.search.value_scores import value_words

UNCALIBRATED = Calibration(temperature=1 / 30, prior_weight=0.0)  # with too few products to fit another


@dataclass(frozen=True, eq=False)
class _Attribute:
    """The V values of an attribute, the embeddings (V, D) of their prompts, and how scores become probabilities."""

    values: Sequence[str]
    prompts: NDArray[np.float32]
    log_prior: Floats
    calibration: Calibration

    def read(self, vector: NDArray[np.float32]) -> Label:
        """Returns the label of a photograph with an embedding (D,)."""
        shares = self.calibration.probabilities([self.prompts @ vector], self.log_prior)[0]
        best, second = np.argsort(-shares, kind="stable")[:2]
        return Label(self.values[best], float(shares[best]), self.values[second])


class AttributeReader:
    """Reads attributes off photographs, among the values that an index has.

    Args:
        encoder: the model.
        counts: attribute -> value -> number of products, two or more values each.
        products: products with vectors, which calibrate the confidence.
    """

    def __init__(self, encoder: Encoder, counts: Mapping[str, Mapping[str, int]], products: Sequence[Hit]):
        self.encoder = encoder
        self.attributes = {name: _fit(encoder, name, known, products) for name, known in counts.items()}

    def read(self, image: Image.Image, names: Sequence[str]) -> dict[str, Label]:
        """Returns attribute -> label for a photograph."""
        vector = self.encoder.embed_images([image])[0]
        return {name: self.attributes[name].read(vector) for name in names}


def _fit(encoder: Encoder, name: str, counts: Mapping[str, int], products: Sequence[Hit]) -> _Attribute:
    values = list(counts)
    prompts = encoder.embed_texts([prompt(name, value_words(name, value)) for value in values])
    frequency = np.array([counts[value] + 1.0 for value in values])
    log_prior: Floats = np.log(frequency / frequency.sum())
    known = [(hit.vector, values.index(hit.fields[name])) for hit in products if hit.fields.get(name) in counts]
    calibration = UNCALIBRATED
    if len(known) >= FEWEST:
        vectors, right = zip(*known, strict=True)
        calibration = fit_calibration(np.stack(vectors) @ prompts.T, log_prior, right)
    return _Attribute(values, prompts, log_prior, calibration)
