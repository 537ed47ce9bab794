"""Training of the text encoder that FashionFAE-mini starts from, in place of the paper's BERT.

It reads pairs of texts and never sees a picture. The first is the product's text. The second names the product's
visible attributes, at the positions that image tokens will have. BERT's two objectives (Devlin et al., arXiv
1810.04805) teach the encoder to look up missing words of the first text in the second, and to decide whether both
describe the same product. A contrastive objective, as in sentence embeddings (Reimers and Gurevych, arXiv 1908.10084),
teaches it to summarise a text.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.masking.word_masks import mask_text, pad_masked
from fashionfae_lavis.mini.encoders.optimise import SEED, optimise
from fashionfae_lavis.mini.fashiongen.attributes import Product, change_one
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of, pick
from fashionfae_lavis.mini.fashiongen.words import ADJECTIVES, GARMENT_NAMES, NOUNS
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.text.product_text import TEXT_MODES, fashion_text, normalise
from fashionfae_lavis.text.word_pieces import Text, word_pieces

BATCH = 64
COPIES = 4  # wordings of each product
PIECES = 24  # word pieces of a second text
MASKED_SHARE = 0.25  # more than in pre-training, because the second text contains the answer
MATCHING, CONTRASTIVE = 0.3, 0.2  # shares of the updates; the others predict words


def visible_pieces(
    subcategory: str, look: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, rng: np.random.Generator
) -> list[int]:
    """Names the garment and its visible attributes in random order, repeated to `PIECES` word pieces.

    Like image tokens, the repeated pieces need no padding.
    """
    phrases = [pick(GARMENT_NAMES[subcategory], rng)]
    for name, value in look.items():
        options = [*ADJECTIVES[name].get(value, []), *NOUNS[name].get(value, [])]
        phrases += [str(rng.choice(options))] if options else []
    words = normalise(" ".join(rng.permutation(phrases))).split()
    pieces = [piece for word in words for piece in word_pieces(tokenizer, word)]
    return (pieces * PIECES)[:PIECES]


class Pairs:
    """Random batches of pairs of texts; all draws depend only on `SEED`.

    Args:
        products: the products to draw from.
        tokenizer: the model's tokenizer.
    """

    def __init__(self, products: list[Product], tokenizer: PreTrainedTokenizerBase):
        self.products, self.tokenizer = products, tokenizer
        self.rng = np.random.default_rng(SEED)

    def draw(self) -> list[Product]:
        """Draws `BATCH` products."""
        return [self.products[index] for index in self.rng.integers(len(self.products), size=BATCH)]

    def fields(self, product: Product) -> dict[str, str]:
        """Writes the product's texts in one of `COPIES` wordings."""
        stream: Any = (*product.stream, int(self.rng.integers(COPIES)))
        return fields_of(dataclasses.replace(product, stream=stream))

    def texts(self, products: list[Product]) -> list[str]:
        """Builds one text per product, with or without attributes with equal probability."""
        modes = self.rng.choice(TEXT_MODES, len(products))
        return [fashion_text(self.fields(product), mode) for product, mode in zip(products, modes, strict=True)]

    def visible(self, products: list[Product]) -> Tensor:
        """Builds the second texts (B, `PIECES`)."""
        rows = [visible_pieces(p.subcategory, p.look(), self.tokenizer, self.rng) for p in products]
        return torch.tensor(rows)

    def another(self, product: Product) -> Product:
        """Draws another product: any of them, or the same product with one to four attributes changed."""
        if self.rng.random() < 0.4:
            return self.products[self.rng.integers(len(self.products))]
        visible = product.visible
        for _ in range(int(self.rng.integers(1, 5))):
            visible = change_one(product.subcategory, visible, self.rng)
        return dataclasses.replace(product, visible=visible)


def masked_words(model: FashionFAE, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Predicts masked words of the first texts, given the second; returns vocabulary logits (P, V) and targets (P,)."""
    products = pairs.draw()
    masked = [
        mask_text(pairs.fields(product), model.tokenizer, pairs.rng, model.max_length, masked_share=MASKED_SHARE)
        for product in products
    ]
    input_ids, mask, labels, _ = pad_masked(masked, model.tokenizer)
    labelled = labels >= 0
    words = model.fusion_encoder.embeddings.word_embeddings
    logits, _ = model.predict_words(words(pairs.visible(products)), Text(input_ids, mask), labelled)
    return logits, labels[labelled]


def matches(model: FashionFAE, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Judges whether both texts describe one product, as half of the pairs do; returns logits (B, 2) and match (B,)."""
    products = pairs.draw()
    others = [product if pairs.rng.random() < 0.5 else pairs.another(product) for product in products]
    match = [
        (one.subcategory, one.visible) == (two.subcategory, two.visible)
        for one, two in zip(products, others, strict=True)
    ]
    visible = model.fusion_encoder.embeddings.word_embeddings(pairs.visible(others))
    return model.match_logits(visible, model.tokenize(pairs.texts(products))), torch.tensor(match).long()


def sentence_loss(model: FashionFAE, pairs: Pairs) -> Tensor:
    """Computes the contrastive loss of the embeddings of the first texts and the mean words of the second."""
    products = pairs.draw()
    words = model.fusion_encoder.embeddings.word_embeddings(pairs.visible(products)).mean(1)
    return contrastive_loss(model.scaled(words), model.text_embedding(model.tokenize(pairs.texts(products))))


def train_text_encoder(model: FashionFAE, products: list[Product], updates: int) -> dict[str, float]:
    """Trains `model.fusion_encoder` with words at the positions of projected image tokens.

    Returns:
        Accuracies (0..1) of masked words and of matching on the last `BATCH` products, which are held out.
    """
    pairs, test_pairs = Pairs(products[:-BATCH], model.tokenizer), Pairs(products[-BATCH:], model.tokenizer)
    visual = model.fusion_encoder.visual_embeddings
    projection, visual.projection = visual.projection, nn.Identity()
    with torch.no_grad():  # the larger initial visual positions would drown the words
        visual.position_embeddings.weight.copy_(model.fusion_encoder.embeddings.position_embeddings.weight)

    def loss_of_batch() -> Tensor:
        drawn = pairs.rng.random()
        if drawn < CONTRASTIVE:
            return sentence_loss(model, pairs)
        return F.cross_entropy(*(matches if drawn < CONTRASTIVE + MATCHING else masked_words)(model, pairs))

    optimise(model, loss_of_batch, updates, "text encoder", lr=1e-3)
    accuracy = {}
    with torch.no_grad():
        for name, predict in (("masked words", masked_words), ("matching", matches)):
            predicted = [predict(model, test_pairs) for _ in range(8)]
            hits = [(logits.argmax(1) == target).float() for logits, target in predicted]
            accuracy[name] = torch.cat(hits).mean().item()
    visual.projection = projection
    return accuracy
