"""Adapter of LAVIS's CLIP."""

from functools import partial

import torch
import torch.nn.functional as F
from lavis.models.clip_models import tokenizer as lavis_tokenizer
from tokenizers import Tokenizer
from torch import Tensor

from fashionfae_lavis.models.adapters.base import Adapter, TextLimit
from fashionfae_lavis.models.baselines.clip import WordPieces, set_loss
from fashionfae_lavis.models.inputs import as_images
from fashionfae_lavis.models.portable_tokenizers import portable, portable_clip
from fashionfae_lavis.objectives.gradient_cache import in_chunks
from fashionfae_lavis.text.word_pieces import Text, as_texts, count_pieces


class ClipAdapter(Adapter):
    """Adapter of CLIP, whose features of a single modality are plain tensors, not normalised."""

    @property
    def text_limit(self) -> TextLimit:
        pieces = self.model.tokenizer
        if isinstance(pieces, WordPieces):
            count = partial(count_pieces, tokenizer=pieces.tokenizer)
            return TextLimit(pieces.length, count, loses="the end of the description", key="model.max_txt_len")
        return TextLimit(self.model.context_length, _count_lavis_pieces, loses="the end", key=None)

    def prepare_training(self) -> None:
        set_loss(self.model)

    def embed_in_chunks(self, size: int) -> None:
        self.model.encode_image = partial(in_chunks, self.model.encode_image, size)
        self.model.encode_text = partial(in_chunks, self.model.encode_text, size)

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        side = getattr(getattr(self.model.visual, "encoder", None), "image_size", None)  # of this package's encoder
        return self.image_features(as_images(images, side=side).to(self.device))

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        return F.normalize(self.model.extract_features({"text_input": as_texts(texts)}).float(), dim=-1)

    @property
    def image_size(self) -> int:
        side = getattr(self.model.visual, "encoder", self.model.visual).image_size
        return side if isinstance(side, int) else side[0]

    def image_features(self, images: Tensor) -> Tensor:
        return F.normalize(self.model.encode_image(images).float(), dim=-1)

    def text_features(self, text: Text) -> Tensor:
        return F.normalize(self.model.encode_text(text.input_ids).float(), dim=-1)

    def text_tokenizer(self) -> Tokenizer:
        pieces = self.model.tokenizer
        if isinstance(pieces, WordPieces):
            return portable(pieces.tokenizer, pieces.length, end=pieces.end, pad_to=pieces.length)
        return portable_clip(self.model.context_length)


def _count_lavis_pieces(text: str) -> int:
    return len(lavis_tokenizer._tokenizer.encode(text)) + 2  # with the start and the end of the text
