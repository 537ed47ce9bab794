"""Embeddings of photographs and texts by any trained model."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors.images import as_rgb
from fashionfae_lavis.search.opening import OpenedModel, open_model
from fashionfae_lavis.text.word_pieces import Text, as_texts

Rows = NDArray[np.float32]


class Encoder:
    """A trained model that embeds photographs and texts in the same space, in evaluation mode and without gradients.

    Each method takes one batch. A model of text-guided retrieval embeds images as its gallery and texts as the text
    part of its queries.

    Args:
        opened: the model with its processing.

    Attributes:
        name: opens the same model again; absolute if it is a path.
        digest: 16 hexadecimal digits of the SHA-256 of weights, vocabulary and image processing.
        dim: length of an embedding.
        adapter: adapter of the model.
        device: device of the model.
        composes: the model embeds an image and a text that changes it as a query.
        matches: the model has an image-text matching head.
        image_processor: maps an RGB image to a tensor (3, S, S); picklable, for worker processes.

    Raises:
        UserError: the model has no embeddings.
    """

    def __init__(self, opened: OpenedModel):
        self.name, self.digest = opened.name, opened.digest
        self.image_processor, self._text_processor = opened.image_processor, opened.text_processor
        self.adapter = adapt(opened.model)
        self.device: torch.device = self.adapter.device
        self.composes, self.matches = self.adapter.composes, self.adapter.matches
        if not (self.adapter.embeds or self.composes):
            raise UserError(
                f"{self.name} ({type(opened.model).__name__}) has no embeddings of images and texts: use a model for "
                "pre-training, retrieval or text-guided retrieval."
            )
        self.dim = self.embed_texts(["a"]).shape[1]

    @classmethod
    def open(cls, model: str, device: str = "auto") -> "Encoder":
        """Opens a model.

        Args:
            model: a checkpoint, a folder of `save_pretrained`, or a name of LAVIS such as `clip:ViT-B-32`; see
                `open_model`.
            device: `auto`, `cpu` or `cuda`.

        Raises:
            UserError: the model cannot be opened, or has no embeddings.
        """
        return cls(open_model(model, device))

    def process(self, images: Sequence[Image.Image]) -> Tensor:
        """Maps B images of any size and Pillow mode to (B, 3, S, S) on the model's device.

        Raises:
            UserError: there is no image, or one cannot be used.
        """
        if not len(images):
            raise UserError("There are no images to embed: give at least one.")
        return torch.stack([self.image_processor(as_rgb(image)) for image in images]).to(self.device)

    def embed_images(self, images: Sequence[Image.Image]) -> Rows:
        """Embeds B images as unit-length rows (B, dim)."""
        return self.embed_processed(self.process(images))

    @torch.no_grad()
    def embed_processed(self, images: Tensor) -> Rows:
        """Embeds images (B, 3, S, S), the result of `process`, as unit-length rows (B, dim)."""
        embed = self.adapter.image_part if self.composes else self.adapter.embed_images
        return _unit_rows(embed(images))

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Rows:
        """Embeds B texts, such as queries or descriptions, as unit-length rows (B, dim)."""
        embed = self.adapter.text_part if self.composes else self.adapter.embed_texts
        return _unit_rows(embed(self._processed(texts)))

    def reads(self, text: str) -> bool:
        """Returns whether the text processing leaves anything of a text, as it does not of `!?` for FashionFAE."""
        given, nothing = self._processed([text, ""])
        return given != nothing

    @torch.no_grad()
    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Rows:
        """Embeds B pairs of an image and a text that changes it, such as `but in red`, as queries (B, dim).

        Raises:
            UserError: the model does not compose.
        """
        self._require("composes", "does not compose images and texts: use a checkpoint of text-guided retrieval")
        parts = self.adapter.image_part(self.process(images)), self.adapter.text_part(self._processed(texts))
        return _unit_rows(parts[0] + parts[1])

    @torch.no_grad()
    def match(self, images: Sequence[Image.Image], text: str) -> Rows:
        """Returns the probability (B,) that the text describes each of B images, by image-text matching.

        Raises:
            UserError: the model has no matching head.
        """
        return self._probabilities(*self._pairs(images, text))

    @torch.no_grad()
    def rerank(self, images: Sequence[Image.Image], text: str, cosines: Sequence[float]) -> tuple[Rows, Rows]:
        """Judges B images that a text found, by image-text matching.

        Args:
            images: the images.
            text: the text.
            cosines: similarities of each image and the text.

        Returns:
            The probabilities (B,) of `match`, and scores (B,) to order the images by, which also count the cosines;
            see `Adapter.match_scores`.

        Raises:
            UserError: the model has no matching head.
        """
        tokens, pairs = self._pairs(images, text)
        similarity = torch.tensor(cosines, dtype=torch.float32, device=self.device)
        scores = self.adapter.match_scores(tokens, pairs, similarity)
        return self._probabilities(tokens, pairs), scores.float().cpu().numpy()

    def _pairs(self, images: Sequence[Image.Image], text: str) -> tuple[Tensor, Text]:
        """Returns the tokens of B images, and the text B times."""
        self._require("matches", "has no image-text matching head: use a pre-training checkpoint, or one of BLIP")
        tokens = self.adapter.image_tokens(self.process(images))
        return tokens, self.adapter.tokenize(self._processed([text]) * len(images))

    def _probabilities(self, tokens: Tensor, pairs: Text) -> Rows:
        return self.adapter.match_logits(tokens, pairs).float().softmax(-1)[:, 1].cpu().numpy()

    def _processed(self, texts: Sequence[str]) -> list[str]:
        return [self._text_processor(text) for text in as_texts(texts)]

    def _require(self, flag: str, problem: str) -> None:
        if not getattr(self, flag):
            raise UserError(f"{self.name} {problem}.")


def _unit_rows(rows: Tensor) -> Rows:
    return F.normalize(rows.float(), dim=-1).cpu().numpy()
