"""The base adapter, for any model with LAVIS's `extract_features` or `generate`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.inputs import as_images
from fashionfae_lavis.text.word_pieces import Text, as_texts


@dataclass(frozen=True)
class TextLimit:
    """The longest text that a model reads; it cuts longer ones.

    Attributes:
        length: in word pieces, including the special ones.
        count: maps a text to its number of word pieces, including the special ones.
        loses: what a longer text loses first.
        key: the setting that raises `length`; None if it is fixed.
    """

    length: int
    count: Callable[[str], int]
    loses: str
    key: str | None


@dataclass(frozen=True, eq=False)
class Adapter:
    """Uniform view of a model for evaluation. Call a method only if the flag that it needs is set.

    A single string counts as a batch of one text, and an image (3, S, S) as a batch of one image. The methods raise
    UserError for an empty batch and for entries of another type or shape.

    Attributes:
        model: the model itself.
        embeds: the model has global embeddings of images and texts, compared by dot product.
        exports: the global embeddings can be computed by other runtimes.
        contrasts: the model's ITC loss needs these embeddings alone, so it can embed a batch in chunks.
        matches: the model has an image-text matching head.
        predicts_words: the model predicts masked words from the image and the rest of the text.
        composes: the model embeds an image and a text that changes it as a query for another image.
        locates: the model tells which patches of an image match a text.
        writes: the model generates captions.
        classifies: the model predicts the class of a product.
        classifier_is_new: the model has a classifier that no checkpoint has trained.
        tokenizes_images: the model is an image tokenizer.
        objectives: the objectives of FashionFAE that the model trains.
    """

    model: Any
    embeds: bool = False
    exports: bool = False
    contrasts: bool = False
    matches: bool = False
    predicts_words: bool = False
    composes: bool = False
    locates: bool = False
    writes: bool = False
    classifies: bool = False
    classifier_is_new: bool = False
    tokenizes_images: bool = False
    objectives: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        return next(self.model.parameters()).device

    @property
    def text_limit(self) -> TextLimit | None:
        """The longest text that the model reads; None if it reads none, or any length."""
        return None

    def prepare_training(self) -> None:
        """Prepares the model for training without a process group."""

    def compile(self) -> None:
        """Makes the encoders run through torch.compile, which compiles them when they first run.

        Raises:
            UserError: the model cannot be compiled, or there is no C++ compiler.
        """
        raise UserError("run.compile: only FashionFAE's models are compiled: set it to false, or change model.arch.")

    def embed_in_chunks(self, size: int) -> None:
        """Makes ITC embed `size` products at a time, see objectives/gradient_cache.py; needs `contrasts`."""
        raise NotImplementedError

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to unit-length global embeddings (B, D); needs `embeds`."""
        samples = {"image": as_images(images).to(self.device), "text_input": None}  # ALBEF looks both keys up
        return self.model.extract_features(samples, mode="image").image_embeds_proj[:, 0].float()

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Maps B texts to unit-length global embeddings (B, D); needs `embeds`."""
        samples = {"image": None, "text_input": as_texts(texts)}
        return self.model.extract_features(samples, mode="text").text_embeds_proj[:, 0].float()

    @property
    def image_size(self) -> int:
        """The S of the images that the model reads; needs `exports`."""
        raise NotImplementedError

    def image_features(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) on the model's device to the embeddings of `embed_images`; needs `exports`.

        It consists of tensor operations, so it can be traced.
        """
        raise NotImplementedError

    def text_features(self, text: Text) -> Tensor:
        """Maps texts as `text_tokenizer` reads them to the embeddings of `embed_texts`; needs `exports`.

        It consists of tensor operations, so it can be traced.
        """
        raise NotImplementedError

    def text_tokenizer(self) -> Tokenizer:
        """Returns the tokenizer of texts for programs without the model; needs `exports`.

        It cuts texts at the longest length of the model, and pads them to the longest text of the batch or, if the
        model reads one length only, to that.
        """
        raise NotImplementedError

    def image_tokens(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to the tokens (B, N, D) fused with a text; needs `matches` or `predicts_words`."""
        raise NotImplementedError

    def tokenize(self, texts: list[str]) -> Text:
        """Tokenizes texts for `match_scores`, padded to the longest; needs `matches`."""
        raise NotImplementedError

    def match_logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        """Maps images as tokens (P, N, D) and P texts to logits (P, 2) of no match and match; needs `matches`."""
        raise NotImplementedError

    def match_scores(self, image_tokens: Tensor, text: Text, similarity: Tensor) -> Tensor:
        """Scores pairs of an image and a text; needs `matches`.

        Args:
            image_tokens: (P, N, D), one image for each pair.
            text: P texts.
            similarity: (P,) dot products of the global embeddings.

        Returns:
            Scores (P,), higher for a better match.
        """
        raise NotImplementedError

    def predict_words(self, image_tokens: Tensor, text: Text, positions: Tensor) -> Tensor:
        """Predicts masked word pieces; needs `predicts_words`.

        Args:
            image_tokens: (B, N, D).
            text: B texts of length L.
            positions: boolean (B, L), True where a word piece is predicted.

        Returns:
            Vocabulary logits (P, V) at these P positions, in row-major order.
        """
        raise NotImplementedError

    def image_part(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to the image term (B, D) of a composed query; needs `composes`."""
        raise NotImplementedError

    def text_part(self, texts: list[str]) -> Tensor:
        """Maps B texts to the text term (B, D) of a composed query; needs `composes`."""
        raise NotImplementedError

    def locate(self, images: Tensor, text_embeds: Tensor) -> Tensor:
        """Computes how much each patch adds to the similarity of an image and its text; needs `locates`.

        Args:
            images: (B, 3, S, S).
            text_embeds: global embeddings (B, D) of the texts.

        Returns:
            Values of 0 or more (B, grid, grid).
        """
        raise NotImplementedError

    def generate(self, images: Tensor, num_beams: int, max_length: int, min_length: int) -> list[str]:
        """Writes one caption for each image (B, 3, S, S) by beam search; needs `writes`."""
        samples = {"image": as_images(images).to(self.device)}
        return self.model.generate(samples, num_beams=num_beams, max_length=max_length, min_length=min_length)
