"""Text-guided retrieval (FashionFAE, arXiv 2412.19997): an image and a modifying text retrieve another image.

    query  = s * normalise( mean of reference tokens + mean of text states )
    target = s * normalise( mean of target tokens )
    L      = CE( <query_i, target_j>, i )                            batch-based classification

The means are over the 50 pooled tokens that enter fusion, whereas ITC averages all 197. The scale s is separate from
ITC's scale.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from torch import Tensor, nn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.models.inputs import check_rows, images_of, texts_of
from fashionfae_lavis.objectives.itc import one_way_loss
from fashionfae_lavis.text.word_pieces import Text


@registry.register_model("fashionfae_composition")
class FashionComposition(FashionEncoders):
    """Encoders with the embeddings of text-guided retrieval. Takes the arguments of `FashionEncoders`.

    Attributes:
        scale: learned length of the embeddings. It starts at 4.0 even if the encoders are pre-trained.
    """

    ARCH = "fashionfae_composition"

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(torch.tensor([4.0]))

    def target_embedding(self, image_tokens: Tensor) -> Tensor:
        """Embeds target images from pooled tokens (B, N, D): (B, D) of length `scale`."""
        return F.normalize(self.image_mean(image_tokens), dim=-1) * self.scale

    def query_embedding(self, image_tokens: Tensor, text: Text) -> Tensor:
        """Embeds pairs of a reference image, as pooled tokens (B, N, D), and a text: (B, D) of length `scale`."""
        return F.normalize(self.image_mean(image_tokens) + self.text_mean(text), dim=-1) * self.scale

    def image_mean(self, image_tokens: Tensor) -> Tensor:
        """Averages projected pooled tokens (B, N, D) to the image part of a query (B, D), not normalised."""
        # The mean of the projected tokens is the projection of their mean.
        return self.fusion_encoder.visual_embeddings.projection(image_tokens.mean(1))

    def text_mean(self, text: Text) -> Tensor:
        """Averages the states of B texts to the text part of a query (B, D), not normalised."""
        return self.fusion_encoder.masked_mean(self.fusion_encoder.encode_text(text), text.mask)

    def forward(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the loss of one batch.

        Args:
            samples: reference images "image" (B, 3, S, S), "text_input" (B strings), and "target_image" (B, 3, S, S).

        Returns:
            "loss" against the targets of all ranks, and "acc", the share of queries whose own target scores highest on
            this rank.

        Raises:
            UserError: a key is missing or does not fit.
        """
        images, texts = self._references(samples)
        targets = images_of(samples, "training", self.image_size, "target_image")
        check_rows(targets, "target_image", len(images))
        query = self.query_embedding(self.fusion_tokens(images), self.tokenize(texts))
        target = self.target_embedding(self.fusion_tokens(targets))
        with torch.no_grad():
            hits = (query @ target.T).argmax(1) == torch.arange(len(query), device=query.device)
        return {"loss": one_way_loss(query, target), "acc": hits.float().mean()}

    @torch.no_grad()
    def predict(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Embeds queries, gallery images or both at unit length, so that a dot product is the cosine similarity.

        Args:
            samples: "image" (B, 3, S, S) and "text_input" (B strings) of queries, "target_image" (B, 3, S, S) of the
                gallery, or both.

        Returns:
            "query" (B, D), "target" (B, D), or both.

        Raises:
            UserError: the keys belong to neither, or a key does not fit.
        """
        if not isinstance(samples, Mapping) or not {"text_input", "target_image"} & samples.keys():
            raise UserError("samples needs 'image' and 'text_input' for queries, or 'target_image' for gallery images.")
        output = {}
        if "text_input" in samples:
            images, texts = self._references(samples)
            tokens = self.fusion_tokens(images.to(self.device))
            output["query"] = F.normalize(self.query_embedding(tokens, self.tokenize(texts)), dim=-1)
        if "target_image" in samples:
            images = images_of(samples, "the gallery", self.image_size, "target_image")
            tokens = self.fusion_tokens(images.to(self.device))
            output["target"] = F.normalize(self.target_embedding(tokens), dim=-1)
        return output

    def _references(self, samples: dict[str, Any]) -> tuple[Tensor, list[str]]:
        """Returns the reference images (B, 3, S, S) and the B texts of queries, checked."""
        images = images_of(samples, "a query", self.image_size)
        return images, texts_of(samples, "a query", len(images))
