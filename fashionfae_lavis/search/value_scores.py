"""Scores of an attribute's values for photographs, by each method ("way") that a model supports.

    ITC             similarity of the photograph and the value's prompt; any model with embeddings
    AETP            mean log-probability of the value's word pieces at the [MASK]s of the attribute's prompt
    AETP with text  the same, given also the rest of the product's text, which may name the value
    recognition     log-probability of a classifier that was fine-tuned for the attribute

A photograph is encoded once, whatever the number of attributes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_probe import score_values
from fashionfae_lavis.evaluation.attribute_questions import prompt
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors.images import as_rgb
from fashionfae_lavis.search.encoder import Encoder, Rows
from fashionfae_lavis.search.opening import open_model
from fashionfae_lavis.text.product_text import field_words

ITC, AETP, AETP_WITH_TEXT, RECOGNITION = "ITC", "AETP", "AETP with text", "recognition"
LOWEST = -30.0  # score of a value that is too long for the model's text, or that is none of the classifier's classes
Fields = Mapping[str, str]


def value_words(name: str, value: str) -> str:
    """Returns a value in normalised words, as prompts contain it.

    >>> value_words("season", "FW2016"), value_words("colour", "Navy-Blue")
    ('fall winter 2016', 'navy blue')
    """
    return " ".join(field_words({name: value}, name))


class Recogniser:
    """A classifier of one attribute: a checkpoint of the task `fashion_recognition`.

    Args:
        name: the attribute.
        path: the checkpoint.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: the checkpoint cannot be read, or is not that of a classifier with named classes.
    """

    def __init__(self, name: str, path: str, device: str = "auto"):
        opened = open_model(path, device)
        self.name, self._model = name, opened.model
        self._image_processor = opened.image_processor
        self._text_processor: Any = opened.text_processor  # reads the fields of a product as well
        classes = getattr(self._model, "classes", None)
        if not adapt(self._model).classifies or not classes:
            raise UserError(
                f"--recogniser {name}={path}: this checkpoint has no classes with names; use one of the task "
                "`fashion_recognition`."
            )
        self.classes = [value_words(name, value) for value in classes]

    @torch.no_grad()
    def log_probabilities(self, images: Sequence[Image.Image], fields: Sequence[Fields]) -> Rows:
        """Classifies B photographs of products with these text fields; returns (B, classes)."""
        others = [{key: value for key, value in each.items() if key != self.name} for each in fields]
        samples = {
            "image": torch.stack([self._image_processor(as_rgb(image)) for image in images]).to(self._model.device),
            "text_input": [self._text_processor(each) for each in others],
        }
        return self._model.predict(samples)["predictions"].float().log_softmax(-1).cpu().numpy()


@dataclass(frozen=True, eq=False)
class Seen:
    """B products as the models have encoded them.

    Attributes:
        embeddings: of the photographs, (B, D), of unit length.
        encode: computes `tokens`.
        fields: text fields of each product, without any if texts are not read.
        classes: attribute -> log-probabilities (B, classes) of its recogniser.
    """

    embeddings: Rows
    encode: Callable[[], Tensor]
    fields: Sequence[Fields]
    classes: Mapping[str, Rows]

    @cached_property
    def tokens(self) -> Tensor:
        """Image tokens (B, T, W) of a model that predicts words, computed when AETP first asks for them."""
        return self.encode()


@dataclass(frozen=True, eq=False)
class ValueScorer:
    """Scores values of attributes.

    Attributes:
        encoder: the model.
        recognisers: attribute -> its classifier.
        text: whether the products' texts are read.
    """

    encoder: Encoder
    recognisers: Mapping[str, Recogniser] = field(default_factory=dict)
    text: bool = True
    _prompts: dict[tuple[str, ...], Rows] = field(default_factory=dict, repr=False)

    def ways(self, name: str) -> list[str]:
        """Returns the ways to score the values of an attribute."""
        found = [ITC]
        if self.encoder.adapter.predicts_words:
            found += [AETP, AETP_WITH_TEXT] if self.text else [AETP]
        return found + [RECOGNITION] * (name in self.recognisers)

    @torch.no_grad()
    def see(self, images: Sequence[Image.Image], fields: Sequence[Fields]) -> Seen:
        """Encodes the photographs of B products."""
        processed = self.encoder.process(images)
        shown = list(fields) if self.text else [{}] * len(images)
        return Seen(
            self.encoder.embed_processed(processed),
            lambda: self.encoder.adapter.image_tokens(processed),
            shown,
            {name: each.log_probabilities(images, shown) for name, each in self.recognisers.items()},
        )

    @torch.no_grad()
    def scores(self, seen: Seen, way: str, name: str, values: Sequence[str]) -> NDArray[np.float64]:
        """Scores V values of an attribute, in normalised words, for B products; returns (B, V), finite."""
        if way == ITC:
            found: Any = seen.embeddings @ self._embedded_prompts(name, values).T
        elif way == RECOGNITION:
            column = {value: number for number, value in enumerate(self.recognisers[name].classes)}
            found = np.full((len(seen.fields), len(values)), LOWEST)
            known = [number for number, value in enumerate(values) if value in column]
            found[:, known] = seen.classes[name][:, [column[values[number]] for number in known]]
        else:
            fields = seen.fields if way == AETP_WITH_TEXT else [{}] * len(seen.fields)
            nothing_hidden = [set[str]()] * len(fields)
            found = score_values(self.encoder.adapter, seen.tokens, fields, nothing_hidden, name, values).numpy()
        return np.maximum(found, LOWEST).astype(np.float64)

    @torch.no_grad()
    def _embedded_prompts(self, name: str, values: Sequence[str]) -> Rows:
        """Embeds the prompts of values (V, D), once."""
        key = (name, *values)
        if key not in self._prompts:
            adapter = self.encoder.adapter
            embed = adapter.embed_texts if adapter.embeds else adapter.text_part
            self._prompts[key] = np.concatenate(
                [
                    torch.nn.functional.normalize(embed([prompt(name, value) for value in part]), dim=-1).cpu().numpy()
                    for part in (values[start : start + 64] for start in range(0, len(values), 64))
                ]
            )
        return self._prompts[key]
