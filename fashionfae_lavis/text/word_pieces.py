"""From words to padded batches of word pieces."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.text.product_text import SEPARATOR


class Text(NamedTuple):
    """Tokenised texts: ids and mask (1 = real place), both (B, L), and BERT's segment ids (None: all 0)."""

    input_ids: Tensor
    mask: Tensor
    segments: Tensor | None = None

    def rows(self, index: Tensor) -> "Text":
        """The texts at these rows of the batch."""
        return Text(*(None if field is None else field[index] for field in self))


@lru_cache(maxsize=1 << 18)
def word_pieces(tokenizer: PreTrainedTokenizerBase, word: str) -> tuple[int, ...]:
    """Ids of the pieces of one word without spaces, remembered per tokenizer.

    BERT's tokenizer splits at spaces first, so a text's pieces are those of its words.
    """
    return tuple(tokenizer(word, add_special_tokens=False)["input_ids"])


def text_pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of the pieces of a text, without [CLS] and [SEP]."""
    return [piece for word in text.split() for piece in word_pieces(tokenizer, word)]


@lru_cache(maxsize=8)
def ordinary_pieces(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Ids that may stand in for a word: neither special nor reserved (`[unused7]`) ones."""
    vocabulary = tokenizer.get_vocab()
    reserved = {i for piece, i in vocabulary.items() if piece.startswith("[unused")}
    return np.array(sorted(set(vocabulary.values()) - reserved - set(tokenizer.all_special_ids)))


def segment_lengths(first: int, second: int, max_length: int) -> tuple[int, int]:
    """How many pieces of two segments fit between [CLS] and [SEP]s: the first is cut before the second."""
    room = max_length - 2 - (second > 0)
    second = max(0, min(second, room))
    return max(0, min(first, room - second)), second


def pad(rows: Sequence[Sequence[int]], value: int) -> LongTensor:
    """Rows of different lengths as a (B, L) tensor, L the longest, filled up with `value`."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), value, dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(padded)


def attention_mask(rows: Sequence[Sequence[int]]) -> LongTensor:
    """1 for each piece of a row, 0 for its padding: (B, L)."""
    return pad([[1] * len(row) for row in rows], 0)


def tokenize_texts(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[LongTensor, LongTensor]:
    """`[CLS] first [SEP] second [SEP]` for texts with ` [SEP] ` in them, else `[CLS] text [SEP]`.

    Returns input_ids and attention_mask, both (B, L) with L the longest text of the batch. A text of more
    than `max_length` pieces loses the end of its first segment, and of the second (its prompts) only when
    nothing is left of the first.
    """
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    rows = []
    for text in texts:
        first, _, second = text.partition(SEPARATOR)
        first, second = text_pieces(tokenizer, first), text_pieces(tokenizer, second)
        keep_first, keep_second = segment_lengths(len(first), len(second), max_length)
        row = [cls, *first[:keep_first], sep]
        if keep_second:
            row += [*second[:keep_second], sep]
        rows.append(row)
    return pad(rows, tokenizer.pad_token_id), attention_mask(rows)
