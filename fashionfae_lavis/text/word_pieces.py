"""Tokenization of texts to padded batches of word pieces."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.product_text import SEPARATOR


class Text(NamedTuple):
    """Tokenized texts.

    Attributes:
        input_ids: (B, L), ids of word pieces.
        mask: (B, L), 1 at real positions and 0 at padding.
        segments: (B, L), BERT's segment ids; None means all 0.
    """

    input_ids: Tensor
    mask: Tensor
    segments: Tensor | None = None

    def rows(self, index: Tensor) -> "Text":
        """Returns the texts at these rows of the batch."""
        segments = None if self.segments is None else self.segments[index]
        return Text(self.input_ids[index], self.mask[index], segments)

    def to(self, device: torch.device) -> "Text":
        """Returns the texts on a device."""
        input_ids, mask = (t.to(device, non_blocking=True) for t in (self.input_ids, self.mask))
        segments = None if self.segments is None else self.segments.to(device, non_blocking=True)
        return Text(input_ids, mask, segments)


def as_texts(texts: Any, name: str = "texts") -> list[str]:
    """Checks a batch of texts; a single string is a batch of one.

    Args:
        texts: the strings, in any iterable.
        name: what to call them in the error.

    Raises:
        UserError: there is no text, or an entry is not a string.

    >>> as_texts("red dress")
    ['red dress']
    """
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable) or isinstance(texts, bytes | Tensor):
        raise UserError(f"{name!r} is of type {type(texts).__name__}, but must be a list of strings.")
    listed: list[str] = list(texts)
    if not listed:
        raise UserError(f"{name!r} is empty: give at least one text.")
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            found = type(text).__name__
            raise UserError(f"{name!r} has a value of type {found} at position {position}: give strings only.")
    return listed


@lru_cache(maxsize=1 << 18)
def word_pieces(tokenizer: PreTrainedTokenizerBase, word: str) -> tuple[int, ...]:
    """Returns the ids of the pieces of one word without spaces, cached per tokenizer.

    BERT's tokenizer splits at spaces first, so the pieces of a text are the pieces of its words.
    """
    return tuple(tokenizer(word, add_special_tokens=False)["input_ids"])


def text_pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Returns the ids of the pieces of a text, without [CLS] and [SEP]."""
    return [piece for word in text.split() for piece in word_pieces(tokenizer, word)]


def count_pieces(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """Counts the pieces of a text of `fashion_text`, including [CLS] and each [SEP]."""
    first, second = (len(text_pieces(tokenizer, part)) for part in text.partition(SEPARATOR)[::2])
    return 1 + first + 1 + (second + 1 if second else 0)


@lru_cache(maxsize=8)
def ordinary_pieces(tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int64]:
    """Returns the ids of all pieces that are neither special nor reserved (`[unused7]`), in ascending order."""
    vocabulary = tokenizer.get_vocab()
    reserved = {i for piece, i in vocabulary.items() if piece.startswith("[unused")}
    return np.array(sorted(set(vocabulary.values()) - reserved - set(tokenizer.all_special_ids)))


def segment_lengths(first: int, second: int, max_length: int) -> tuple[int, int]:
    """Returns how many pieces of each segment fit into `max_length` together with [CLS] and two [SEP].

    The first segment is cut before the second.

    >>> segment_lengths(first=10, second=4, max_length=12)
    (5, 4)
    """
    room = max_length - 2 - (second > 0)
    second = max(0, min(second, room))
    return max(0, min(first, room - second)), second


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Pads B rows with `value` to the longest; returns (B, L)."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), value, dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(padded)


def attention_mask(rows: Sequence[Sequence[int]]) -> Tensor:
    """Returns a mask (B, L) with 1 for each piece of a row and 0 for padding."""
    return pad([[1] * len(row) for row in rows], 0)


def tokenize_texts(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[Tensor, Tensor]:
    """Tokenizes texts as `[CLS] first [SEP] second [SEP]`, or as `[CLS] text [SEP]` if they contain no ` [SEP] `.

    A text of more than `max_length` pieces loses the end of its first segment, and the end of the second (its prompts)
    only if nothing is left of the first.

    Args:
        texts: B strings; a single string is a batch of one.
        tokenizer: word-piece tokenizer of transformers.
        max_length: length of the longest text in word pieces.

    Returns:
        input_ids and attention_mask, both (B, L) with L the longest text of the batch.

    Raises:
        UserError: there is no text, or an entry is not a string.
    """
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    rows = []
    for text in as_texts(texts):
        first, second = (text_pieces(tokenizer, part) for part in text.partition(SEPARATOR)[::2])
        keep_first, keep_second = segment_lengths(len(first), len(second), max_length)
        row = [cls, *first[:keep_first], sep]
        if keep_second:
            row += [*second[:keep_second], sep]
        rows.append(row)
    return pad(rows, tokenizer.pad_token_id), attention_mask(rows)
