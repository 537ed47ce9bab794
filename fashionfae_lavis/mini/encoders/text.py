"""The text encoder that FashionFAE-mini starts from, as the paper's starts from a BERT that has read books.

It reads pairs of texts of one product and never sees a picture. The first text is a product's own; the second, which
takes the place that the image will take, names what can be seen of the product. BERT's two objectives (Devlin et al.,
arXiv 1810.04805) teach it to look up there what is missing in the first text, and to say whether both are of the same
product; a contrastive one, as in sentence embeddings (Reimers and Gurevych, arXiv 1908.10084), to sum up a text.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
COPIES = 4  # texts written for each product
PIECES = 24  # of a second text
MASKED_SHARE = 0.25  # more than in the main job: each text is short, and what it lacks stands beside it
MATCHING, CONTRASTIVE = 0.3, 0.2  # shares of the updates; the others predict words


def what_is_seen(subcategory: str, look: Mapping[str, str], tokenizer, rng: np.random.Generator) -> list[int]:
    """PIECES word pieces that name the garment and its visible attributes in any order, said again from the start.

    Repeated, they need no padding: the places of an image are all taken, too.
    """
    phrases = [pick(GARMENT_NAMES[subcategory], rng)]
    for name, value in look.items():
        options = [*ADJECTIVES[name].get(value, []), *NOUNS[name].get(value, [])]
        phrases += [str(rng.choice(options))] if options else []
    words = normalise(" ".join(rng.permutation(phrases))).split()
    pieces = [piece for word in words for piece in word_pieces(tokenizer, word)]
    return (pieces * PIECES)[:PIECES]


class Pairs:
    """Batches of pairs of texts of these products; what is drawn depends on SEED only."""

    def __init__(self, products: list[Product], tokenizer):
        self.products, self.tokenizer = products, tokenizer
        self.rng = np.random.default_rng(SEED)

    def draw(self) -> list[Product]:
        return [self.products[index] for index in self.rng.integers(len(self.products), size=BATCH)]

    def fields(self, product: Product) -> dict[str, str]:
        """The product's texts in one of COPIES wordings."""
        return fields_of(dataclasses.replace(product, stream=(*product.stream, int(self.rng.integers(COPIES)))))

    def texts(self, products: list[Product]) -> list[str]:
        """Half of them with their attributes, half the description alone."""
        modes = self.rng.choice(TEXT_MODES, len(products))
        return [fashion_text(self.fields(product), mode) for product, mode in zip(products, modes, strict=True)]

    def seen(self, products: list[Product]) -> Tensor:
        """What is seen of each product (B, PIECES)."""
        rows = [what_is_seen(p.subcategory, p.look(), self.tokenizer, self.rng) for p in products]
        return torch.tensor(rows)

    def another(self, product: Product) -> Product:
        """Another product: any, or the same with one to four attributes changed."""
        if self.rng.random() < 0.4:
            return self.products[self.rng.integers(len(self.products))]
        visible = product.visible
        for _ in range(int(self.rng.integers(1, 5))):
            visible = change_one(product.subcategory, visible, self.rng)
        return dataclasses.replace(product, visible=visible)


def masked_words(model: FashionFAE, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Masked words of the first texts, to be looked up in the second: vocabulary logits (P, V) and the words (P,)."""
    products = pairs.draw()
    masked = [
        mask_text(pairs.fields(product), model.tokenizer, pairs.rng, model.max_length, masked_share=MASKED_SHARE)
        for product in products
    ]
    input_ids, mask, labels, _ = pad_masked(masked, model.tokenizer)
    bert, places = model.fusion_encoder, labels >= 0
    words = bert.embeddings.word_embeddings
    states = bert.encode_joint(Text(input_ids, mask), words(pairs.seen(products)))[:, : labels.shape[1]]
    return model.mlm_head(states[places], words.weight), labels[places]


def matches(model: FashionFAE, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Are both texts of one product? Of half of the pairs the second is of another. Logits (B, 2) and match (B,)."""
    products = pairs.draw()
    others = [product if pairs.rng.random() < 0.5 else pairs.another(product) for product in products]
    match = [
        (one.subcategory, one.visible) == (two.subcategory, two.visible)
        for one, two in zip(products, others, strict=True)
    ]
    bert = model.fusion_encoder
    seen = bert.embeddings.word_embeddings(pairs.seen(others))
    joint = bert.encode_joint(model.tokenize(pairs.texts(products)), seen)
    return model.itm_head(bert.pooler(joint)), torch.tensor(match).long()


def sentence_loss(model: FashionFAE, pairs: Pairs) -> Tensor:
    """The mean state of a text, alone, against the mean word of what is seen: which belong together?"""
    products = pairs.draw()
    words = model.fusion_encoder.embeddings.word_embeddings(pairs.seen(products)).mean(1)
    return contrastive_loss(model.scaled(words), model.text_embedding(model.tokenize(pairs.texts(products))))


def train_text_encoder(model: FashionFAE, products: list[Product], updates: int) -> dict[str, float]:
    """Train `model.fusion_encoder`; words stand where projected image tokens will.

    Returns:
        accuracy (0..1) on the last BATCH products, which are not trained on: of masked words, and of matching.
    """
    pairs, test_pairs = Pairs(products[:-BATCH], model.tokenizer), Pairs(products[-BATCH:], model.tokenizer)
    visual = model.fusion_encoder.visual_embeddings
    projection, visual.projection = visual.projection, nn.Identity()
    with torch.no_grad():  # no louder than a word, or nobody would hear the word
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
