"""The masks of masked language modelling (MLM) and attribute-emphasized text prediction (AETP).

FashionFAE, arXiv 2412.19997. A masked text reads
`[CLS] the image description is <title description> [SEP] the image title is <title> the image category is
... [SEP]`. It is put together word by word, so that a mask always knows where a word or a value begins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import BoolTensor, LongTensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.masking.antonyms import ANTONYMS
from fashionfae_lavis.text.product_text import (
    ATTRIBUTES,
    FIELDS,
    TEXT_MODES,
    attribute_words,
    description_words,
    expand_season,
    fashion_text,
    field_words,
    normalise,
    prompt_template,
    shuffled,
)
from fashionfae_lavis.text.word_pieces import (
    attention_mask,
    ordinary_pieces,
    pad,
    segment_lengths,
    tokenize_texts,
    word_pieces,
)

__all__ = [
    "ATTRIBUTES",
    "FIELDS",
    "NO_LABEL",
    "TEXT_MODES",
    "MaskedText",
    "expand_season",
    "fashion_text",
    "mask_text",
    "mask_value",
    "mask_words",
    "normalise",
    "pad_masked",
    "tokenize_texts",
]

NO_LABEL = -100
MASKED_SHARE = 0.12
REPLACED_SHARE = 0.015

FlaggedWords = list[tuple[str, bool]]  # a word, and whether it is hidden


@dataclass
class MaskedText:
    """The word pieces of one text: three lists of one length."""

    input_ids: list[int]
    labels: list[int]  # the piece that belongs here, NO_LABEL where nothing is asked
    is_prompt: list[bool]  # True between the two [SEP]


def mask_text(
    fields: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    rng: np.random.Generator,
    max_length: int,
    description: bool = True,
    prompts: bool = True,
    antonyms: Mapping[str, str] = ANTONYMS,
    masked_share: float = MASKED_SHARE,
) -> MaskedText:
    """One product's text with pieces hidden for MLM (`description`) and for AETP (`prompts`).

    Description: of n word pieces max(1, round(masked_share n)) become [MASK]. Binomial(n, 0.015) others are
    replaced: half of the time the whole word by its antonym, where it has one of as many pieces, else the
    piece by a random one. Prompts: two words of the title, but never the whole of it; then the attributes
    in random order, the whole value of one. Where `description` or `prompts` is False that part of the text
    stays in the clear, without labels.

    A text of more than `max_length` pieces loses the end of the description (before it is masked), and
    prompts only when nothing of the description is left.
    """
    title, attributes = field_words(fields, "title"), attribute_words(fields)
    order = shuffled(list(attributes), rng)
    hidden = {}
    if prompts:
        hidden["title"] = rng.permutation(len(title))[: max(0, min(2, len(title) - 1))]
        if order:
            asked = order[rng.integers(len(order))]
            hidden[asked] = range(len(attributes[asked]))
    asked_ids, asked_labels = _encode(_prompts(title, attributes, order, hidden), tokenizer)

    words = description_words(fields)
    template, _ = _encode(_shown(prompt_template("description")), tokenizer)
    ids, labels = _encode(_shown(words), tokenizer)
    room = segment_lengths(len(template) + len(ids), len(asked_ids), max_length)[0] - len(template)
    ids, labels = ids[: max(0, room)], labels[: max(0, room)]
    if description and ids:
        ids, labels = _mask_pieces(ids, words, tokenizer, rng, antonyms, masked_share)
    labels = [NO_LABEL] * len(template) + labels
    return _assemble((template + ids, labels), (asked_ids, asked_labels), tokenizer, max_length)


def mask_words(
    fields: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, words: Iterable[str], asked: str, max_length: int
) -> MaskedText:
    """The text of `mask_text` in fixed prompt order, with every occurrence of these whole words hidden.

    They are hidden everywhere, but only their places in the prompt of the field `asked` ("title" or an
    attribute) have labels: what is left to answer from is the image. `words` are single normalised words.
    """
    words = frozenset(words)
    ids, labels = [], []
    for name, value in {"title": field_words(fields, "title"), **attribute_words(fields)}.items():
        prompt_ids, prompt_labels = _hiding(name, value, words, tokenizer) if value else ([], [])
        ids += prompt_ids
        labels += prompt_labels if name == asked else [NO_LABEL] * len(prompt_ids)
    description, _ = _hiding("description", description_words(fields), words, tokenizer)
    return _assemble((description, [NO_LABEL] * len(description)), (ids, labels), tokenizer, max_length)


def mask_value(
    fields: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    words: Iterable[str],
    asked: str,
    pieces: int,
    max_length: int,
) -> MaskedText:
    """The text of `mask_words`, which asks for any value of `asked` that has this many pieces.

    `asked` need not be one of the product's attributes: the prompt `the image <asked> is`, with `pieces` [MASK]s,
    stands right after the title's (so that it is the last to be cut), in place of the product's own. The labels say
    which places are asked, not what belongs there: they hold [MASK] too.
    """
    words, mask = frozenset(words), [tokenizer.mask_token_id] * pieces
    question, _ = _encode(_shown(prompt_template(asked)), tokenizer)
    title, attributes = field_words(fields, "title"), attribute_words(fields)
    before = _hiding("title", title, words, tokenizer)[0] if title else []
    after = [i for name in attributes if name != asked for i in _hiding(name, attributes[name], words, tokenizer)[0]]
    description, _ = _hiding("description", description_words(fields), words, tokenizer)
    labels = [NO_LABEL] * len(before + question) + mask + [NO_LABEL] * len(after)
    prompts = (before + question + mask + after, labels)
    return _assemble((description, [NO_LABEL] * len(description)), prompts, tokenizer, max_length)


def pad_masked(
    texts: Sequence[MaskedText], tokenizer: PreTrainedTokenizerBase
) -> tuple[LongTensor, LongTensor, LongTensor, BoolTensor]:
    """input_ids, attention_mask, labels and is_prompt of a batch: (B, L) each, L the longest text."""
    rows = [text.input_ids for text in texts]
    labels = pad([text.labels for text in texts], NO_LABEL)
    is_prompt = pad([text.is_prompt for text in texts], 0).bool()
    return pad(rows, tokenizer.pad_token_id), attention_mask(rows), labels, is_prompt


def _shown(words: Iterable[str]) -> FlaggedWords:
    return [(word, False) for word in words]


def _prompts(
    title: list[str],
    attributes: Mapping[str, list[str]],
    order: Iterable[str],
    hidden: Mapping[str, Iterable[int]],
) -> FlaggedWords:
    """The title prompt, then the attributes' in this order; `hidden` has the places of the hidden words."""
    values = [("title", title)] if title else []
    values += [(name, attributes[name]) for name in order]
    words = []
    for name, value in values:
        places = set(hidden.get(name, ()))
        words += _shown(prompt_template(name)) + [(word, i in places) for i, word in enumerate(value)]
    return words


def _hiding(
    name: str, value: list[str], words: frozenset[str], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[int], list[int]]:
    """Piece ids and labels of the prompt of a field, those of these words hidden."""
    return _encode(_shown(prompt_template(name)) + [(word, word in words) for word in value], tokenizer)


def _encode(words: FlaggedWords, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Piece ids and labels; a hidden word becomes one [MASK] for each of its pieces."""
    mask = tokenizer.mask_token_id
    ids, labels = [], []
    for word, hide in words:
        pieces = word_pieces(tokenizer, word)
        ids += [mask] * len(pieces) if hide else pieces
        labels += pieces if hide else [NO_LABEL] * len(pieces)
    return ids, labels


def _mask_pieces(
    ids: list[int],
    words: list[str],
    tokenizer: PreTrainedTokenizerBase,
    rng: np.random.Generator,
    antonyms: Mapping[str, str],
    masked_share: float,
) -> tuple[list[int], list[int]]:
    """Masked ids and labels of `ids`, the first pieces of `words`; `mask_text` says how many and which."""
    masked, labels = list(ids), [NO_LABEL] * len(ids)
    hidden = max(1, round(masked_share * len(ids)))
    replaced = rng.binomial(len(ids), REPLACED_SHARE)
    places = rng.permutation(len(ids))[: hidden + replaced].tolist()
    mask = tokenizer.mask_token_id
    for place in places[:hidden]:
        masked[place], labels[place] = mask, ids[place]
    for place in places[hidden:]:
        start, word = _word_at(place, words, tokenizer)
        new = word_pieces(tokenizer, antonyms.get(word, ""))
        if rng.random() < 0.5 or len(new) != len(word_pieces(tokenizer, word)):
            ordinary = ordinary_pieces(tokenizer)
            start, new = place, (int(ordinary[rng.integers(len(ordinary))]),)
        for spot, piece in zip(range(start, len(ids)), new, strict=False):
            if labels[spot] == NO_LABEL:
                masked[spot], labels[spot] = piece, ids[spot]
    return masked, labels


def _word_at(place: int, words: list[str], tokenizer: PreTrainedTokenizerBase) -> tuple[int, str]:
    """The word that a piece belongs to, and the place of its first piece."""
    start = 0
    for word in words:
        end = start + len(word_pieces(tokenizer, word))
        if place < end:
            return start, word
        start = end
    raise IndexError(f"no word has a piece at place {place}")


def _assemble(
    description: tuple[list[int], list[int]],
    prompts: tuple[list[int], list[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> MaskedText:
    """[CLS] description [SEP] prompts [SEP] from the (ids, labels) of both, cut to `max_length`."""
    first, second = segment_lengths(len(description[0]), len(prompts[0]), max_length)
    cls, sep, none = [tokenizer.cls_token_id], [tokenizer.sep_token_id], [NO_LABEL]
    ids = cls + description[0][:first] + sep
    labels = none + description[1][:first] + none
    is_prompt = [False] * len(ids)
    if second:
        ids += prompts[0][:second] + sep
        labels += prompts[1][:second] + none
        is_prompt += [True] * second + [False]
    return MaskedText(ids, labels, is_prompt)
