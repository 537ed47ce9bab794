"""Does the model look? Masked words predicted with the right and with another image, masked codes with the right and
with another text. Both controls change nothing but the other modality: each product gets that of one half a batch
away, as neighbours in a file are often of a kind."""

import numpy as np
import torch

from fashionfae_lavis.masking.patch_masks import batch_block_masks
from fashionfae_lavis.masking.word_masks import mask_words, pad_masked
from fashionfae_lavis.text.product_text import attribute_names, attribute_words, fashion_text
from fashionfae_lavis.text.word_pieces import Text, word_pieces

BATCH = 64


def spread_products(dataset, limit: int) -> np.ndarray:
    """Indices of up to `limit` products, evenly spread over the split."""
    return np.linspace(0, len(dataset.product_ids) - 1, min(limit, len(dataset.product_ids))).astype(int)


def product_batches(dataset, limit: int = 2048):
    """First image and fields of up to `limit` products spread over the split, in batches of at least two.

    Yields:
        images (B, 3, S, S) and a list of B fields dicts.
    """
    products = spread_products(dataset, limit)
    first_row = {product: row for row, product in reversed(list(enumerate(dataset.row_product)))}
    for chunk in np.array_split(products, max(1, round(len(products) / BATCH))):
        images = torch.stack([dataset[int(first_row[product])]["image"] for product in chunk])
        yield images, [dataset.product_fields(int(product)) for product in chunk]


@torch.no_grad()
def aetp_grounding(model, dataset) -> dict[str, dict[str, float]]:
    """Accuracy on the masked words of each attribute, in percent, with the right image and with another product's.

    Asked are the prompts of the attributes, and in the title the words that the data set lists in `attribute_words`
    (colour, neckline, ...). Every other word that would give the answer away is hidden too: see `_question`. A gap in
    a title does not say which attribute it is of, so there the model chooses among the attribute's words only.

    Returns:
        {attribute: {"right", "shuffled", "places"}}.
    """
    named = getattr(dataset, "attribute_words", {})
    counts = {name: np.zeros(3) for name in (*attribute_names(dataset.product_fields(0)), *named)}
    for images, products in product_batches(dataset):
        tokens = model.image_encoder.pool_tokens(model.image_encoder(images.to(model.device)))
        for name, count in counts.items():
            masked = [_question(fields, name, named, model) for fields in products]
            input_ids, mask, labels, _ = (t.to(model.device) for t in pad_masked(masked, model.tokenizer))
            places = labels >= 0
            targets = labels[places]
            if not len(targets):
                continue
            answers = _pieces(named[name], model.tokenizer) if name in named else slice(None)
            right, shuffled = (
                _best(model.predict_words(seen, Text(input_ids, mask), places)[0], answers) == targets
                for seen in (tokens, tokens.roll(len(tokens) // 2, 0))
            )
            count += (right.sum().item(), shuffled.sum().item(), len(targets))
    return {
        name: {"right": 100 * right / places, "shuffled": 100 * shuffled / places, "places": int(places)}
        for name, (right, shuffled, places) in counts.items()
        if places
    }


def _pieces(words, tokenizer) -> torch.Tensor:
    return torch.tensor(sorted({piece for word in words for piece in word_pieces(tokenizer, word)}))


def _best(logits: torch.Tensor, answers: torch.Tensor | slice) -> torch.Tensor:
    """The piece of these that has the highest of the logits (P, V) -> (P,)."""
    best = torch.full_like(logits, -torch.inf)
    best[:, answers] = logits[:, answers]
    return best.argmax(1)


def _question(fields: dict, name: str, named: dict, model):
    """This product's text with the attribute masked, and nothing left that names it.

    Where the data set lists the attribute's words (fabrics, kinds of garment), all of these are hidden, so that what
    the text says beside cannot be matched; else the words of the product's own value.
    """
    value = set(attribute_words(fields).get(name, ()))
    words = telling_words(name, value, named)
    return mask_words(fields, model.tokenizer, words, "title" if name in named else name, model.max_length)


def telling_words(name: str, value: set[str], named: dict) -> set[str]:
    """The words that tell this attribute: those `named` lists for it or for the words of its value, else the latter."""
    if name in named:
        return set(named[name])
    return set().union(*(words for words in named.values() if value & set(words))) or value


@torch.no_grad()
def apir_grounding(model, dataset) -> dict[str, float]:
    """Accuracy on masked codes, in percent: right text, another product's text, always the most frequent code.

    The most frequent code is counted at the same masked places, which favours it.

    Returns:
        {"right", "shuffled_text", "most_frequent_code", "places"}.
    """
    rng = np.random.default_rng(0)
    grid = model.image_encoder.grid // model.image_encoder.pool
    right = shuffled = 0
    seen = []
    for images, products in product_batches(dataset):
        images = images.to(model.device)
        tokens = model.image_encoder.pool_tokens(model.image_encoder(images))
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
    places = counts.sum().item()
    return {
        "right": 100 * right / places,
        "shuffled_text": 100 * shuffled / places,
        "most_frequent_code": 100 * counts.max().item() / places,
        "places": places,
    }


def _codes(model, tokens, text: Text, patch_mask: torch.Tensor) -> torch.Tensor:
    states, _ = model.reconstruct(tokens, text, patch_mask)
    return model.apir_head(states[patch_mask]).argmax(1)
