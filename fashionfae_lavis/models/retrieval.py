"""Image-text retrieval: two encoders with global embeddings, trained by ITC alone."""

from typing import Any

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from lavis.models.blip_models.blip_outputs import BlipOutputFeatures
from torch import Tensor, nn

from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.objectives.itc import itc_loss
from fashionfae_lavis.text.word_pieces import Text


@registry.register_model("fashionfae_retrieval")
class FashionRetrieval(FashionEncoders):
    """Encoders with global embeddings. Takes the arguments of `FashionEncoders`.

    Attributes:
        scale: learned length of the global embeddings; a similarity logit is scale^2 * cosine.
    """

    ARCH = "fashionfae_retrieval"
    SHARED: tuple[str, ...] = ("image_encoder", "fusion_encoder", "scale")

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
            samples: "image" (B, 3, S, S), "text_input" (B strings), and optionally second views "image_2".

        Returns:
            "loss", which equals "loss_itc", and "acc_itc"; see objectives/itc.py.
        """
        tokens, text = self.image_encoder(samples["image"]), self.tokenize(samples["text_input"])
        return self._itc(tokens, text, samples.get("image_2"))

    def _itc(self, tokens: Tensor, text: Text, second_view: Tensor | None) -> dict[str, Tensor]:
        text_embedding, image_embedding = self.text_embedding(text), self.image_embedding(tokens)
        second = None if second_view is None else self.image_embedding(self.image_encoder(second_view))
        output = itc_loss(image_embedding, text_embedding, second)
        return {"loss": output.loss, "loss_itc": output.loss, "acc_itc": output.accuracy}

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
        """
        if mode not in ("image", "text", "multimodal"):
            raise ValueError(f'mode must be "image", "text" or "multimodal", not {mode!r}')
        output = BlipOutputFeatures()
        if mode != "text":
            output.image_embeds = self.image_encoder(samples["image"].to(self.device))
            output.image_embeds_proj = F.normalize(self.image_embedding(output.image_embeds), dim=-1)[:, None]
        if mode != "image":
            text = self.tokenize(samples["text_input"])
            if mode == "text":
                output.text_embeds = self.fusion_encoder.encode_text(text)
                mean = self.fusion_encoder.masked_mean(output.text_embeds, text.mask)
                output.text_embeds_proj = F.normalize(mean, dim=-1)[:, None]
            else:
                pooled = self.image_encoder.pool_tokens(output.image_embeds)
                output.multimodal_embeds = self.fusion_encoder.encode_joint(text, pooled)
        return output
