"""Word masks for MLM and AETP (FashionFAE, arXiv 2412.19997).

A masked text reads `[CLS] the image description is <title description> [SEP] the image title is <title> the image
category is ... [SEP]`. It is built word by word, so that masks cover whole words and values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.masking.antonyms import ANTONYMS
from fashionfae_lavis.text.product_text import (
    attribute_words,
    description_words,
    field_words,
    prompt_template,
    shuffled,
)
from fashionfae_lavis.text.word_pieces import attention_mask, ordinary_pieces, pad, segment_lengths, word_pieces

NO_LABEL = -100
MASKED_SHARE = 0.12
REPLACED_SHARE = 0.015

FlaggedWords = list[tuple[str, bool]]  # a word, and whether it is masked


@dataclass
class MaskedText:
    """The word pieces of one text, as three lists of equal length.

    Attributes:
        input_ids: the pieces, some of them [MASK].
        labels: the original piece where the model predicts it, NO_LABEL elsewhere.
        is_prompt: True between the two [SEP].
    """

    input_ids: list[int]
    labels: list[int]
    is_prompt: list[bool]


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
    """Masks one product's text for MLM and AETP.

    In the description, max(1, round(masked_share n)) of n word pieces become [MASK]. Another Binomial(n, 0.015) pieces
    are replaced. With probability 1/2, the antonym replaces the whole word, if it has as many pieces. Otherwise a
    random piece replaces the piece. In the prompts, two words of the title are masked, but never the whole title. The
    attributes are shuffled, and the whole value of one is masked.

    A text of more than `max_length` pieces loses the end of the description before it is masked, and loses prompts only
    if nothing of the description is left.

    Args:
        fields: the product's texts by field name.
        tokenizer: word-piece tokenizer of transformers.
        rng: generator of the masks.
        max_length: length of the longest text in word pieces.
        description: whether to mask the description (MLM); False leaves it unmasked and without labels.
        prompts: whether to mask the prompts (AETP); False leaves them unmasked and without labels.
        antonyms: word -> antonym.
        masked_share: share of the description's word pieces that become [MASK].
    """
    title, attributes = field_words(fields, "title"), attribute_words(fields)
    order = shuffled(list(attributes), rng)
    hidden: dict[str, Sequence[int]] = {}
    if prompts:
        hidden["title"] = rng.permutation(len(title))[: max(0, min(2, len(title) - 1))].tolist()
        if order:
            chosen = order[rng.integers(len(order))]
            hidden[chosen] = range(len(attributes[chosen]))
    prompt_ids, prompt_labels = _encode(_prompts(title, attributes, order, hidden), tokenizer)

    words = description_words(fields)
    template, _ = _encode(_shown(prompt_template("description")), tokenizer)
    ids, labels = _encode(_shown(words), tokenizer)
    room = segment_lengths(len(template) + len(ids), len(prompt_ids), max_length)[0] - len(template)
    ids, labels = ids[: max(0, room)], labels[: max(0, room)]
    if description and ids:
        ids, labels = _mask_pieces(ids, words, tokenizer, rng, antonyms, masked_share)
    labels = [NO_LABEL] * len(template) + labels
    return _assemble((template + ids, labels), (prompt_ids, prompt_labels), tokenizer, max_length)


def mask_words(
    fields: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, words: Iterable[str], asked: str, max_length: int
) -> MaskedText:
    """Masks every occurrence of some words, so that only the image reveals them.

    The text is built as in `mask_text`, with the prompts in the order of the fields.

    Args:
        fields: the product's texts by field name.
        tokenizer: word-piece tokenizer of transformers.
        words: normalised words to mask.
        asked: "title" or an attribute. Only masked positions in its prompt have labels.
        max_length: length of the longest text in word pieces.
    """
    words = frozenset(words)
    ids: list[int] = []
    labels: list[int] = []
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
    """Builds the text of `mask_words` with a prompt for an attribute value of a given number of pieces.

    The prompt `the image <asked> is` with `pieces` [MASK]s replaces the product's prompt for `asked`. It follows the
    title's prompt, so that it is cut last. Its [MASK]s are labelled, with [MASK] as the label.

    Args:
        fields: the product's texts by field name.
        tokenizer: word-piece tokenizer of transformers.
        words: normalised words to mask in the rest of the text.
        asked: an attribute, which the product need not have.
        pieces: number of [MASK]s.
        max_length: length of the longest text in word pieces.
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
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pads a batch to its longest text; returns input_ids, attention_mask, labels and is_prompt, (B, L) each."""
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
    """Returns the title's prompt and the attributes' prompts in `order`; `hidden` lists the indices of masked words."""
    values = [("title", title)] if title else []
    values += [(name, attributes[name]) for name in order]
    words: FlaggedWords = []
    for name, value in values:
        masked = set(hidden.get(name, ()))
        words += _shown(prompt_template(name)) + [(word, i in masked) for i, word in enumerate(value)]
    return words


def _hiding(
    name: str, value: list[str], words: frozenset[str], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[int], list[int]]:
    """Returns piece ids and labels of a field's prompt, with these words masked."""
    return _encode(_shown(prompt_template(name)) + [(word, word in words) for word in value], tokenizer)


def _encode(words: FlaggedWords, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Returns piece ids and labels; a masked word becomes one [MASK] for each of its pieces."""
    mask = tokenizer.mask_token_id
    ids: list[int] = []
    labels: list[int] = []
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
    """Masks `ids`, the first pieces of `words`, as `mask_text` describes; returns ids and labels."""
    masked, labels = list(ids), [NO_LABEL] * len(ids)
    hidden = max(1, round(masked_share * len(ids)))
    replaced = rng.binomial(len(ids), REPLACED_SHARE)
    positions = rng.permutation(len(ids))[: hidden + replaced].tolist()
    mask = tokenizer.mask_token_id
    for position in positions[:hidden]:
        masked[position], labels[position] = mask, ids[position]
    for position in positions[hidden:]:
        start, word = _word_at(position, words, tokenizer)
        new = word_pieces(tokenizer, antonyms.get(word, ""))
        if rng.random() < 0.5 or len(new) != len(word_pieces(tokenizer, word)):
            ordinary = ordinary_pieces(tokenizer)
            start, new = position, (int(ordinary[rng.integers(len(ordinary))]),)
        for index, piece in zip(range(start, len(ids)), new, strict=False):
            if labels[index] == NO_LABEL:
                masked[index], labels[index] = piece, ids[index]
    return masked, labels


def _word_at(position: int, words: list[str], tokenizer: PreTrainedTokenizerBase) -> tuple[int, str]:
    """Returns the position of the first piece of the word at `position`, and the word."""
    start = 0
    for word in words:
        end = start + len(word_pieces(tokenizer, word))
        if position < end:
            return start, word
        start = end
    raise IndexError(f"no word has a piece at position {position}")


def _assemble(
    description: tuple[list[int], list[int]],
    prompts: tuple[list[int], list[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> MaskedText:
    """Builds `[CLS] description [SEP] prompts [SEP]` from (ids, labels) of both, cut to `max_length`."""
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
