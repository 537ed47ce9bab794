"""Adapter of FashionFAE and of the models that share its encoders."""

import os
import shutil
from functools import partial

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.adapters.base import Adapter, TextLimit
from fashionfae_lavis.models.inputs import as_images
from fashionfae_lavis.models.portable_tokenizers import portable
from fashionfae_lavis.text.word_pieces import Text, count_pieces


class FashionFAEAdapter(Adapter):
    """Adapter of the FashionFAE models for pre-training, retrieval, recognition and composition."""

    @property
    def text_limit(self) -> TextLimit | None:
        if self.model.tokenizer is None or not getattr(self.model, "use_text", True):
            return None
        count = partial(count_pieces, tokenizer=self.model.tokenizer)
        return TextLimit(self.model.max_length, count, loses="the end of the description", key="model.max_length")

    @property
    def image_size(self) -> int:
        return self.model.image_size

    def image_features(self, images: Tensor) -> Tensor:
        return F.normalize(self.model.image_embedding(self.model.image_encoder(images)), dim=-1)

    def text_features(self, text: Text) -> Tensor:
        return F.normalize(self.model.text_embedding(text), dim=-1)

    def text_tokenizer(self) -> Tokenizer:
        return portable(self.model.tokenizer, self.model.max_length)

    def compile(self) -> None:
        compiler = os.environ.get("CXX") or "g++ or clang++"
        if not any(shutil.which(name) for name in compiler.split(" or ")):
            raise UserError(f"run.compile is true, but torch.compile needs {compiler}: install it, or set it to false.")
        self.model.image_encoder.compile()
        # Texts differ in length, for which single layers are compiled again sooner than a whole encoder.
        for layer in self.model.fusion_encoder.encoder.layer:
            layer.compile()
        if hasattr(self.model, "image_tokenizer"):
            self.model.image_tokenizer.encoder.compile()

    def embed_in_chunks(self, size: int) -> None:
        self.model.itc_chunk = size

    def image_tokens(self, images: Tensor) -> Tensor:
        return self.model.fusion_tokens(as_images(images, side=self.model.image_size).to(self.device))

    def tokenize(self, texts: list[str]) -> Text:
        return self.model.tokenize(texts)

    def match_logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        return self.model.match_logits(image_tokens, text)

    def match_scores(self, image_tokens: Tensor, text: Text, similarity: Tensor) -> Tensor:
        """Adds the log-odds of a match to the ITC logit (scale^2 * similarity), so that re-ranking builds on ITC."""
        logits = self.match_logits(image_tokens, text)
        return logits[:, 1] - logits[:, 0] + self.model.scale**2 * similarity

    def predict_words(self, image_tokens: Tensor, text: Text, positions: Tensor) -> Tensor:
        logits, _ = self.model.predict_words(image_tokens, text, positions)
        return logits

    def image_part(self, images: Tensor) -> Tensor:
        return self.model.image_mean(self.image_tokens(images))

    def text_part(self, texts: list[str]) -> Tensor:
        return self.model.text_mean(self.model.tokenize(texts))

    def locate(self, images: Tensor, text_embeds: Tensor) -> Tensor:
        """Weights the patches' last states by the gradient of the cosine: Grad-CAM (arXiv 1610.02391)."""
        encoder = self.model.image_encoder
        with torch.no_grad():
            tokens = encoder(as_images(images, side=self.model.image_size).to(self.device))
        with torch.enable_grad():
            tokens.requires_grad_()
            cosines = F.cosine_similarity(self.model.image_embedding(tokens), text_embeds.to(self.device))
            (gradient,) = torch.autograd.grad(cosines.sum(), tokens)
        patches, weights = tokens.detach()[:, 1:], gradient[:, 1:].mean(1, keepdim=True)
        return F.relu((weights * patches).sum(-1)).unflatten(1, (encoder.grid, encoder.grid))
