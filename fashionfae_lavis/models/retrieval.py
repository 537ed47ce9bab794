"""Image-text retrieval: two encoders with global embeddings, trained by ITC alone."""

from typing import Any

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from lavis.models.blip_models.blip_outputs import BlipOutputFeatures
from torch import Tensor, nn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.models.inputs import as_images, check_rows, images_of, texts_of
from fashionfae_lavis.objectives.gradient_cache import in_chunks
from fashionfae_lavis.objectives.itc import itc_loss
from fashionfae_lavis.text.word_pieces import Text


@registry.register_model("fashionfae_retrieval")
class FashionRetrieval(FashionEncoders):
    """Encoders with global embeddings. Takes the arguments of `FashionEncoders`.

    Attributes:
        scale: learned length of the global embeddings; a similarity logit is scale^2 * cosine.
        itc_chunk: number of products that ITC embeds at a time, see objectives/gradient_cache.py; None for all.
    """

    ARCH = "fashionfae_retrieval"
    SHARED: tuple[str, ...] = ("image_encoder", "fusion_encoder", "scale")
    itc_chunk: int | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(torch.tensor([4.0]))

    def scaled(self, embedding: Tensor) -> Tensor:
        """Normalises embeddings (B, D) to the learned length."""
        return F.normalize(embedding, dim=-1) * self.scale

    def image_embedding(self, image_tokens: Tensor) -> Tensor:
        """Embeds images from all tokens (B, 1 + grid^2, D) as the scaled mean of the projected tokens (B, D)."""
        # The mean of the projected tokens is the projection of their mean.
        return self.scaled(self.fusion_encoder.visual_embeddings.projection(image_tokens.mean(1)))

    def text_embedding(self, text: Text) -> Tensor:
        """Embeds texts as the scaled mean (B, D) of the last layer's states at real positions."""
        states = self.fusion_encoder.encode_text(text)
        return self.scaled(self.fusion_encoder.masked_mean(states, text.mask))

    def forward(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes L_ITC of one batch.

        Args:
            samples: "image" (B, 3, S, S), "text_input" (B strings), and optionally second views "image_2" and
                "prepared" (masking/preparation.py), whose tokenized texts are then read.

        Returns:
            "loss", which equals "loss_itc", and "acc_itc"; see objectives/itc.py.

        Raises:
            UserError: a key is missing or does not fit.
        """
        images, texts = self._pairs(samples)
        second_view = self._second_view(samples, len(images))
        image_embedding = self._embed_images(images)  # started first: a GPU computes it while the CPU tokenizes
        prepared = samples.get("prepared")
        text = prepared.text.to(self.device) if prepared else self.tokenize(texts)
        return self._itc(image_embedding, self._embed_texts(text), second_view)

    def _pairs(self, samples: dict[str, Any]) -> tuple[Tensor, list[str]]:
        """Returns the images (B, 3, S, S) and the B texts of a batch, checked."""
        images = images_of(samples, "this model", self.image_size)
        return images, texts_of(samples, "this model", len(images))

    def _second_view(self, samples: dict[str, Any], count: int) -> Tensor | None:
        if samples.get("image_2") is None:
            return None
        second = as_images(samples["image_2"], "image_2", self.image_size)
        check_rows(second, "image_2", count)
        return second

    def _itc(self, image_embedding: Tensor, text_embedding: Tensor, second_view: Tensor | None) -> dict[str, Tensor]:
        second = None if second_view is None else self._embed_images(second_view)
        output = itc_loss(image_embedding, text_embedding, second)
        return {"loss": output.loss, "loss_itc": output.loss, "acc_itc": output.accuracy}

    def _embed_images(self, images: Tensor) -> Tensor:
        def embed(chunk: Tensor) -> Tensor:
            return self.image_embedding(self.image_encoder(chunk))

        return in_chunks(embed, self.itc_chunk or len(images), images)

    def _embed_texts(self, text: Text) -> Tensor:
        def embed(input_ids: Tensor, mask: Tensor) -> Tensor:
            return self.text_embedding(Text(input_ids, mask))

        return in_chunks(embed, self.itc_chunk or len(text.mask), text.input_ids, text.mask)

    @torch.no_grad()
    def extract_features(self, samples: dict[str, Any], mode: str = "multimodal") -> BlipOutputFeatures:
        """Computes the features that LAVIS's feature extractors return.

        Args:
            samples: "image" (B, 3, S, S) and/or "text_input" (B strings).
            mode: "image", "text" or "multimodal".

        Returns:
            image_embeds (B, 1 + grid^2, D) and text_embeds (B, L, D), the states; image_embeds_proj and
            text_embeds_proj (B, 1, D), unit-length global embeddings whose dot product is the cosine similarity; and
            multimodal_embeds (B, L + 1 + pooled_grid^2, D), the joint states.

        Raises:
            UserError: the mode is unknown, or a key that it needs is missing or does not fit.
        """
        if mode not in ("image", "text", "multimodal"):
            raise UserError(f'mode must be "image", "text" or "multimodal", not {mode!r}.')
        output, use, count = BlipOutputFeatures(), f'mode="{mode}"', None
        if mode != "text":
            images = images_of(samples, use, self.image_size)
            count = len(images)
            output.image_embeds = self.image_encoder(images.to(self.device))
            output.image_embeds_proj = F.normalize(self.image_embedding(output.image_embeds), dim=-1)[:, None]
        if mode != "image":
            text = self.tokenize(texts_of(samples, use, count))
            if mode == "text":
                output.text_embeds = self.fusion_encoder.encode_text(text)
                mean = self.fusion_encoder.masked_mean(output.text_embeds, text.mask)
                output.text_embeds_proj = F.normalize(mean, dim=-1)[:, None]
            else:
                pooled = self.image_encoder.pool_tokens(output.image_embeds)
                output.multimodal_embeds = self.fusion_encoder.encode_joint(text, pooled)
        return output
