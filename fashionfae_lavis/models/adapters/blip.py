"""Adapter of LAVIS's BLIP: pre-training, retrieval, image-text matching and captioning."""

from fashionfae_lavis.models.adapters.albef import AlbefAdapter
from fashionfae_lavis.text.word_pieces import Text


class BlipAdapter(AlbefAdapter):
    """Adapter of BLIP. Unlike ALBEF, a text that is read with an image begins with [ENC] instead of [CLS]."""

    def tokenize(self, texts: list[str]) -> Text:
        text = self.word_pieces(texts)
        text.input_ids[:, 0] = self.model.tokenizer.enc_token_id
        return text
