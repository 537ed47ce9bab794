"""Adapter of LAVIS's ALBEF: pre-training, retrieval and image-text matching."""

from functools import partial

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from fashionfae_lavis.models.adapters.base import Adapter, TextLimit
from fashionfae_lavis.models.inputs import as_images
from fashionfae_lavis.models.portable_tokenizers import portable
from fashionfae_lavis.text.word_pieces import Text, as_texts, count_pieces


class AlbefAdapter(Adapter):
    """Adapter of ALBEF: an image encoder, a BERT that reads text alone or with the image, and two projections."""

    @property
    def bert(self) -> nn.Module:
        """The text encoder, which ALBEF's pre-training model keeps inside a masked-word model."""
        return getattr(self.model.text_encoder, "bert", self.model.text_encoder)

    @property
    def text_limit(self) -> TextLimit | None:
        length = getattr(self.model, "max_txt_len", None)
        if length is None or not getattr(self.model, "use_text", True):
            return None
        count = partial(count_pieces, tokenizer=self.model.tokenizer)
        return TextLimit(length, count, loses="the end, which is an attribute", key="model.max_txt_len")

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        return self._image_embeddings(self.image_tokens(images))

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        return self.text_features(self.word_pieces(texts))

    @property
    def image_size(self) -> int:
        encoder = self.model.visual_encoder
        ours = getattr(encoder, "image_size", None)  # of this package's encoders
        return encoder.patch_embed.img_size[0] if ours is None else ours

    def image_features(self, images: Tensor) -> Tensor:
        return self._image_embeddings(self.model.visual_encoder.forward_features(images))

    def _image_embeddings(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.model.vision_proj(tokens[:, 0]).float(), dim=-1)

    def text_features(self, text: Text) -> Tensor:
        states = self.bert(text.input_ids, attention_mask=text.mask, return_dict=True, mode="text")
        return F.normalize(self.model.text_proj(states.last_hidden_state[:, 0]).float(), dim=-1)

    def text_tokenizer(self) -> Tokenizer:
        return portable(self.model.tokenizer, self.model.max_txt_len)

    def image_tokens(self, images: Tensor) -> Tensor:
        side = getattr(self.model.visual_encoder, "image_size", None)  # of this package's encoders
        return self.model.visual_encoder.forward_features(as_images(images, side=side).to(self.device))

    def word_pieces(self, texts: list[str]) -> Text:
        """Tokenizes B texts to ids and mask (B, L), cut at the text length that the model is trained with."""
        cut = {"truncation": True, "max_length": self.model.max_txt_len}
        text = self.model.tokenizer(as_texts(texts), padding=True, return_tensors="pt", **cut).to(self.device)
        return Text(text.input_ids, text.attention_mask)

    def tokenize(self, texts: list[str]) -> Text:
        return self.word_pieces(texts)

    def match_logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        states = self.bert(
            text.input_ids,
            attention_mask=text.mask,
            encoder_hidden_states=image_tokens,
            encoder_attention_mask=torch.ones(image_tokens.shape[:2], dtype=torch.long, device=image_tokens.device),
            return_dict=True,
        )
        return self.model.itm_head(states.last_hidden_state[:, 0]).float()

    def match_scores(self, image_tokens: Tensor, text: Text, similarity: Tensor) -> Tensor:
        """Adds the logit of a match to the similarity, as LAVIS's re-ranking does."""
        return self.match_logits(image_tokens, text)[:, 1] + similarity
