"""Captioning: a model writes a product's description, or completes its attribute prompts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from lavis.common.dist_utils import is_main_process
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.distributed import gather_objects, own_share
from fashionfae_lavis.evaluation.attribute_probe import score_values
from fashionfae_lavis.evaluation.attribute_questions import attribute_values, prompt
from fashionfae_lavis.evaluation.embedding import first_images, first_rows, spread_products
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.metrics.captions import caption_scores
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.reports.tables import caption_table
from fashionfae_lavis.text.product_text import ATTRIBUTES, description_words


@dataclass(frozen=True, eq=False)
class CaptioningResult(EvaluationResult):
    """Captions and their scores.

    Attributes:
        text: kind of the reference text, "title and description" or "attributes".
        captions: image row -> caption.
        references: image row -> text that the caption is scored against.
        scores: scores of the captions by metrics/captions.py.
        other_image: scores of the same captions against other images, as a control.
        left_out: name of a score that could not be computed -> the reason, as a sentence.
    """

    text: str
    captions: Mapping[int, str]
    references: Mapping[int, str]
    scores: Mapping[str, float]
    other_image: Mapping[str, float]
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "images": len(self.captions),
            "scores": dict(self.scores),
            "other_image": dict(self.other_image),
            "left_out": dict(self.left_out),
            "agg_metrics": self.scores["CIDEr"] + self.scores["Bleu_4"],  # LAVIS's
        }

    def table(self) -> str:
        return caption_table(self.to_json())


@torch.no_grad()
def evaluate_captions(
    adapter: Adapter,
    data_loader: DataLoader[Any],
    products: int = 500,
    num_beams: int = 3,
    max_length: int = 40,
    min_length: int = 8,
) -> CaptioningResult:
    """Captions the first image of up to `products` products of a `ProductSplit`; the processes share the images.

    A model that writes captions is scored against title and description. FashionFAE does not write. It fills the masked
    attribute prompts, and is scored against the prompts with the product's true values. The references differ, so the
    scores of the two are not comparable.

    Args:
        adapter: adapter of a model with `writes` or `predicts_words`.
        data_loader: the images of the split, one item per image.
        products: maximum number of products, spread over the split.
        num_beams: number of beams.
        max_length, min_length: length of a caption in word pieces.
    """
    split = cast(ProductSplit, data_loader.dataset)
    chosen = spread_products(split, products)
    rows = first_rows(split)
    completes = adapter.predicts_words
    values = {name: column for name, column in attribute_values(split).items() if name in ATTRIBUTES}
    known = {name: sorted(set(column) - {""}) for name, column in values.items()} if completes else {}
    known = {name: column for name, column in known.items() if column}

    def sentence(product: int, found: Mapping[str, str]) -> str:
        """Joins the prompts of the product's attributes, with the values found."""
        return " ".join(prompt(name, found[name]) for name in known if values[name][product])

    references = {}
    for product in chosen:
        own = {name: values[name][product] for name in known}
        words = " ".join(description_words(split.product_fields(product)))
        references[int(rows[product])] = sentence(product, own) if completes else words

    written: dict[int, str] = {}
    share = own_share(chosen.tolist())
    for samples in first_images(data_loader, share):
        size = len(samples["image"])
        batch, share = share[:size], share[size:]
        if completes:
            completed = complete_attributes(adapter, samples["image"], known)
            captions = [
                sentence(product, {name: column[i] for name, column in completed.items()})
                for i, product in enumerate(batch)
            ]
        else:
            captions = adapter.generate(samples["image"], num_beams, max_length, min_length)
        written |= dict(zip((int(rows[product]) for product in batch), captions, strict=True))
    everywhere = {row: caption for part in gather_objects(written) for row, caption in part.items()}
    captions_of = {row: everywhere[row] for row in references}
    # Scoring may start Java, so only the first process does it.
    found = _scored(captions_of, references) if is_main_process() else (({}, {}), ({}, {}))
    (scores, left_out), (other, _) = gather_objects(found)[0]
    return CaptioningResult(
        "attributes" if completes else "title and description", captions_of, references, scores, other, left_out
    )


Scores = tuple[dict[str, float], dict[str, str]]


def _scored(captions: Mapping[int, str], references: Mapping[int, str]) -> tuple[Scores, Scores]:
    """Scores the captions, and as a control each caption against the next image's reference."""
    listed = {row: [text] for row, text in references.items()}
    rows = sorted(captions)
    other = {row: captions[rows[i - 1]] for i, row in enumerate(rows)}
    return caption_scores(captions, listed), caption_scores(other, listed)


@torch.no_grad()
def complete_attributes(adapter: Adapter, images: Tensor, values: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Finds the most likely value of each attribute by AETP, given the image alone.

    Args:
        adapter: adapter of a model with `predicts_words`.
        images: (B, 3, S, S).
        values: attribute -> the values to choose from.

    Returns:
        Attribute -> B values.
    """
    tokens = adapter.image_tokens(images)
    blank: list[dict[str, str]] = [{}] * len(tokens)
    hidden: list[set[str]] = [set()] * len(tokens)
    return {
        name: [known[best] for best in score_values(adapter, tokens, blank, hidden, name, known).argmax(1).tolist()]
        for name, known in values.items()
    }
