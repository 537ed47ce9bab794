"""Grounding: does AETP read the image, and does APIR read the text?

AETP predicts masked words with the right image and with another product's image. APIR predicts masked codes with the
right text and with another product's text. The other product is half a batch away, because neighbours in a file are
often similar.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.evaluation.attribute_questions import telling_words
from fashionfae_lavis.evaluation.embedding import first_rows, spread_products
from fashionfae_lavis.masking.patch_masks import batch_block_masks
from fashionfae_lavis.masking.word_masks import MaskedText, mask_words, pad_masked
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.text.product_text import attribute_names, attribute_words, fashion_text
from fashionfae_lavis.text.word_pieces import Text, word_pieces

BATCH = 64


def product_batches(split: ProductSplit, limit: int = 2048) -> Iterator[tuple[Tensor, list[Mapping[str, str]]]]:
    """Yields the first image and the fields of up to `limit` products spread over a split, two or more at a time.

    Args:
        split: the split.
        limit: maximum number of products.

    Yields:
        Images (B, 3, S, S) and a list of B fields.
    """
    products = spread_products(split, limit)
    rows = first_rows(split)
    for chunk in np.array_split(products, max(1, round(len(products) / BATCH))):
        images = torch.stack([split[int(rows[product])]["image"] for product in chunk])
        yield images, [split.product_fields(int(product)) for product in chunk]


@torch.no_grad()
def aetp_grounding(model: FashionFAE, split: ProductSplit) -> dict[str, dict[str, float]]:
    """Measures AETP's accuracy on the masked words of each attribute, with the right and with another image.

    AETP is asked for the values in the attributes' prompts, and for the words in titles that the split's
    `attribute_words` list (colour, neckline, ...). Other words that give the answer away are hidden too, see
    `_question`. A masked word in a title does not reveal its attribute, so AETP chooses among the attribute's words.

    Returns:
        {attribute: {"right", "shuffled" (percent), "places" (number of masked word pieces)}}.
    """
    listed = split.attribute_words
    counts = {name: np.zeros(3) for name in (*attribute_names(split.product_fields(0)), *listed)}
    for images, products in product_batches(split):
        tokens = model.fusion_tokens(images.to(model.device))
        for name, count in counts.items():
            masked = [_question(fields, name, listed, model) for fields in products]
            input_ids, mask, labels, _ = (t.to(model.device) for t in pad_masked(masked, model.tokenizer))
            positions = labels >= 0
            targets = labels[positions]
            if not len(targets):
                continue
            answers = _pieces(listed[name], model.tokenizer) if name in listed else None
            right, shuffled = (
                _best(model.predict_words(seen, Text(input_ids, mask), positions)[0], answers) == targets
                for seen in (tokens, tokens.roll(len(tokens) // 2, 0))
            )
            count += (right.sum().item(), shuffled.sum().item(), len(targets))
    return {
        name: {"right": 100 * right / asked, "shuffled": 100 * shuffled / asked, "places": int(asked)}
        for name, (right, shuffled, asked) in counts.items()
        if asked
    }


def _pieces(words: Sequence[str], tokenizer: Any) -> Tensor:
    return torch.tensor(sorted({piece for word in words for piece in word_pieces(tokenizer, word)}))


def _best(logits: Tensor, answers: Tensor | None) -> Tensor:
    """Returns the most likely word piece (P,) by logits (P, V), among `answers` if given."""
    if answers is None:
        return logits.argmax(1)
    best = torch.full_like(logits, -torch.inf)
    best[:, answers] = logits[:, answers]
    return best.argmax(1)


def _question(
    fields: Mapping[str, str], name: str, listed: Mapping[str, Sequence[str]], model: FashionFAE
) -> MaskedText:
    """Masks one attribute in a product's text, and `telling_words` everywhere.

    For an attribute with listed words (fabrics, kinds of garment), all listed words are hidden, because the rest of the
    text could reveal the answer.
    """
    value = set(attribute_words(fields).get(name, ()))
    words = telling_words(name, value, listed)
    return mask_words(fields, model.tokenizer, words, "title" if name in listed else name, model.max_length)


@torch.no_grad()
def apir_grounding(model: FashionFAE, split: ProductSplit) -> dict[str, float]:
    """Measures APIR's accuracy on masked codes with the right text and with another product's text.

    As a baseline, it also measures the most frequent code. This baseline is favoured, because it is chosen on the same
    masked patches that it is measured on.

    Returns:
        {"right", "shuffled_text", "most_frequent_code" (percent), "places" (number of masked patches)}.
    """
    rng = np.random.default_rng(0)
    grid = model.image_encoder.pooled_grid
    right = shuffled = 0.0
    seen = []
    for images, products in product_batches(split):
        images = images.to(model.device)
        tokens = model.fusion_tokens(images)
        codes = model.image_tokenizer.encode(images)
        masks = batch_block_masks(rng, len(images), grid, model.masked_patches)
        patch_mask = torch.from_numpy(masks).to(images.device)
        targets = codes[patch_mask]
        text = model.tokenize([fashion_text(fields, "description+attributes") for fields in products])
        others = text.rows(torch.arange(len(images), device=images.device).roll(len(images) // 2))
        right += (_codes(model, tokens, text, patch_mask) == targets).sum().item()
        shuffled += (_codes(model, tokens, others, patch_mask) == targets).sum().item()
        seen.append(targets.cpu())
    counts = torch.bincount(torch.cat(seen))
    masked = counts.sum().item()
    return {
        "right": 100 * right / masked,
        "shuffled_text": 100 * shuffled / masked,
        "most_frequent_code": 100 * counts.max().item() / masked,
        "places": masked,
    }


def _codes(model: FashionFAE, tokens: Tensor, text: Text, patch_mask: Tensor) -> Tensor:
    states, _ = model.reconstruct(tokens, text, patch_mask)
    logits: Tensor = model.apir_head(states[patch_mask])
    return logits.argmax(1)
