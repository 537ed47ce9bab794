"""The attribute probe: can a model distinguish products that differ in one attribute?

The probe asks three questions about each attribute, given the first image of a product:

    ITC    Which value is right? Ranks the prompts `the image <name> is <value>` by similarity with the image.
    AETP   Which value is right? Ranks the values by likelihood at the [MASK]s of the attribute's prompt, given the
           image. The question is asked twice: with the rest of the product's text, in which the words that give the
           value away are hidden, and with the prompt alone. It needs a model that predicts masked words (FashionFAE).
    pairs  Which of two texts that differ only in this attribute is closer to the image?

Two figures sum up what a model knows about the attribute:

    photo only    The right value, named from the photograph alone by ITC or AETP. Each half of the products is answered
                  in the way that does better on the other half.
    linear probe  The right value, predicted by a linear classifier on the global embeddings of the images. It shows
                  what the image encoder has learned, whether or not a text can ask for it.

A value of k word pieces scores the mean log-probability of its pieces at k [MASK]s. Among values of equal length this
orders them by likelihood. Across lengths, the likelihood would nearly always favour the shortest value, because each
further piece multiplies it by a number below one. The prior counts as part of the answer, as in AETP's training. The
share of the most frequent value shows how far the prior alone gets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.distributed import gather_in_order, own_share
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_questions import attribute_values, hidden_words, pair_texts, prompt
from fashionfae_lavis.evaluation.embedding import embed_texts, first_images, spread_products
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.masking.word_masks import mask_value, pad_masked
from fashionfae_lavis.metrics.attribute_probe import best_way, pair_hits, piece_scores, share, value_ranks, value_shares
from fashionfae_lavis.metrics.linear_probe import linear_probe_hits
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.reports.attribute_chart import draw_attribute_chart
from fashionfae_lavis.reports.tables import attribute_table
from fashionfae_lavis.text.word_pieces import Text, text_pieces

BATCH = 32  # texts in one joint pass
PROBE_FIGURES = {  # key of an attribute's figures -> name of their mean over the attributes that photographs show
    "itc": "probe.values",
    "photo_only": "probe.photo_only",
    "linear_probe": "probe.linear",
    "pairs": "probe.pairs",
}
PHOTO_ONLY = ("itc", "aetp_prompt_only")  # questions that show the model no text of the product


@dataclass(frozen=True, eq=False)
class ProbeResult(EvaluationResult):
    """Accuracies of the attribute probe in percent; metrics/attribute_probe.py defines ties and intervals.

    Attributes:
        attributes: attribute name -> a dict of
            `seen`: whether photographs show the attribute,
            `values`, `products`: their numbers,
            `chance`, `majority`: accuracies of guessing, and of always answering the most frequent value,
            `itc`, and for models that predict masked words `aetp` and `aetp_prompt_only`: {accuracy, half_width, n},
            `photo_only`: the same for the better of `itc` and `aetp_prompt_only`,
            `linear_probe`: the same for a linear classifier on image embeddings,
            `pairs`: the same, if there are any pairs.
        left_out: attribute that was skipped -> the reason.
        answers: attribute -> key of `attributes` -> (P,), 1 where the answer about a product is right, 0 where it is
            wrong, NaN where the product was not asked about.
    """

    attributes: Mapping[str, dict[str, Any]]
    left_out: Mapping[str, str]
    answers: Mapping[str, Mapping[str, NDArray[np.float32]]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean accuracy over the attributes, of the pairs or, if there are none, of ITC."""
        rows = self.attributes.values()
        counted = [row["pairs"] for row in rows if "pairs" in row] or [row["itc"] for row in rows]
        return float(np.mean([figures["accuracy"] for figures in counted]))

    def to_json(self) -> dict[str, Any]:
        return {"attributes": dict(self.attributes), "left_out": dict(self.left_out), "agg_metrics": self.mean}

    def hits(self) -> dict[str, NDArray[np.float32]]:
        seen = [answers for name, answers in self.answers.items() if self.attributes[name]["seen"]]
        columns = {name: [row[key] for row in seen if key in row] for key, name in PROBE_FIGURES.items()}
        return {name: np.stack(parts, axis=1) for name, parts in columns.items() if parts}

    def table(self) -> str:
        return attribute_table(self.attributes, self.left_out)

    def draw(self, folder: Path) -> dict[str, str]:
        path = folder / "attribute_probe.png"
        draw_attribute_chart(self.attributes, path)
        return {"attribute_chart": str(path)}


@torch.no_grad()
def evaluate_attribute_probe(
    adapter: Adapter, data_loader: DataLoader[Any], products: int = 500, seed: int = 42
) -> ProbeResult:
    """Asks about up to `products` products of a split; the processes share the work.

    Args:
        adapter: adapter of a model with `embeds`.
        data_loader: the images of a `ProductSplit`.
        products: maximum number of products, spread over the split.
        seed: seed of the random pairs.

    Raises:
        UserError: no attribute has two values, or the model's scores are NaN.
    """
    split = cast(ProductSplit, data_loader.dataset)
    chosen = spread_products(split, products)
    asked, left_out = choose_attributes(attribute_values(split), chosen)
    images, tokens = read_images(adapter, data_loader, chosen)
    results, answers, pairs = {}, {}, {}
    for name, values in asked.items():
        known = sorted(set(values) - {""})
        scores = {"itc": images @ embed_texts(adapter, [prompt(name, value) for value in known]).T}
        if adapter.predicts_words:
            scores |= word_scores(adapter, split, tokens, chosen, name, values, known)
        having = np.array([position for position, product in enumerate(chosen) if values[product]])
        of_those = [values[product] for product in chosen[having]]
        figures, hits = _value_figures({key: table[having] for key, table in scores.items()}, of_those, known)
        hits["linear_probe"] = linear_probe_hits(images[having], of_those)
        figures["linear_probe"] = share(hits["linear_probe"])
        results[name] = {"seen": name not in split.unseen_attributes, **figures}
        answers[name] = {key: _among_all(found, having, len(chosen)) for key, found in hits.items()}
        # A separate generator for each attribute keeps its pairs independent of the other attributes.
        rng = np.random.default_rng((seed, *name.encode()))
        pairs[name] = pair_texts(split, name, values, chosen, rng)
    for name, found in _pair_hits(adapter, images, pairs).items():
        results[name]["pairs"] = share(found)
        answers[name]["pairs"] = _among_all(found, pairs[name][0], len(chosen))
    return ProbeResult(results, left_out, answers)


def _value_figures(
    scores: Mapping[str, NDArray[np.float32]], values: Sequence[str], known: list[str]
) -> tuple[dict[str, Any], dict[str, NDArray[np.bool_]]]:
    """Computes how often the right value scores highest, and the baselines.

    Args:
        scores: kind of question -> scores (N, V) of the `known` values for N products.
        values: the right value of each product.
        known: the V values.

    Returns:
        The figures, and the answers (N,) that are right, for each kind of question and "photo_only".
    """
    right = np.array([known.index(value) for value in values])
    ranks = {key: value_ranks(table, right) for key, table in scores.items()}
    hits = {key: found == 1 for key, found in ranks.items()}
    hits["photo_only"] = best_way({key: hits[key] for key in PHOTO_ONLY if key in hits})
    return {
        "values": len(known),
        "products": len(values),
        "chance": 100 / len(known),
        "majority": 100 * float(np.bincount(right).max() / len(right)),
        **{key: value_shares(found, len(known)) for key, found in ranks.items()},
        "photo_only": share(hits["photo_only"]),
    }, hits


def _pair_hits(
    adapter: Adapter, images: NDArray[np.float32], pairs: Mapping[str, tuple[NDArray[np.int64], list[str], list[str]]]
) -> dict[str, NDArray[np.bool_]]:
    """Asks which text of each pair is closer to its image. Each text is embedded once, for all attributes.

    Args:
        adapter: adapter of a model with `embeds`.
        images: embeddings (N, D).
        pairs: attribute -> output of `pair_texts`.

    Returns:
        Attribute -> (Q,), True where it is the right text; attributes without pairs are left out.
    """
    asked = {name: found for name, found in pairs.items() if len(found[0])}
    unique = dict.fromkeys(text for _, right, wrong in asked.values() for text in (*right, *wrong))
    row_of = {text: row for row, text in enumerate(unique)}
    texts = embed_texts(adapter, list(row_of)) if asked else np.empty((0, images.shape[1]), dtype=np.float32)
    hits = {}
    for name, (positions, *sides) in asked.items():
        hits[name] = pair_hits(*((images[positions] * texts[[row_of[text] for text in side]]).sum(1) for side in sides))
    return hits


def _among_all(hits: NDArray[np.bool_], positions: NDArray[np.int64], products: int) -> NDArray[np.float32]:
    """Returns the hits (n,) of the products at `positions` (n,) among all of them (P,), with NaN for the others."""
    found = np.full(products, np.nan, dtype=np.float32)
    found[positions] = hits
    return found


def choose_attributes(
    values: Mapping[str, list[str]], products: NDArray[np.int64]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Returns the attributes that can be probed, with their values, and the others, with the reason they cannot be."""
    left_out = {}
    for name, column in values.items():
        if not any(column[product] for product in products):
            left_out[name] = "no product has it"
        elif len(set(column) - {""}) < 2:
            left_out[name] = "it has only one value"
    if len(left_out) == len(values):
        reasons = ", ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none"
        raise UserError(
            f"`datasets`: attribute_probe needs an attribute with two or more values; this dataset has {reasons}."
        )
    return {name: column for name, column in values.items() if name not in left_out}, left_out


@torch.no_grad()
def read_images(
    adapter: Adapter, data_loader: DataLoader[Any], products: NDArray[np.int64]
) -> tuple[NDArray[np.float32], Tensor]:
    """Reads the first image of each of N products.

    Returns:
        Global embeddings (N, D), and image tokens (n, T, W) of this process's share of the products. The second is an
        empty tensor if the model does not predict words.
    """
    embeddings, tokens = [], []
    for batch in first_images(data_loader, own_share(products.tolist())):
        embeddings.append(adapter.embed_images(batch["image"]).cpu().numpy())
        if adapter.predicts_words:
            tokens.append(adapter.image_tokens(batch["image"]))
    return gather_in_order(embeddings), torch.cat(tokens or [torch.empty(0)])


def word_scores(
    adapter: Adapter,
    split: ProductSplit,
    tokens: Tensor,
    products: NDArray[np.int64],
    name: str,
    values: Sequence[str],
    known: list[str],
) -> dict[str, NDArray[np.float32]]:
    """Computes AETP's scores of all `known` values, with the rest of a product's text and with the prompt alone.

    Args:
        adapter: adapter of a model with `predicts_words`.
        split: the split.
        tokens: image tokens (n, T, W) of this process's share of the products.
        products: (N,) product indices.
        name: the attribute.
        values: value of the attribute for each product of the split, "" for none.
        known: the V values to score.

    Returns:
        Scores "aetp" and "aetp_prompt_only", (N, V) each; -inf for products that have no value.
    """
    own = own_share(products.tolist())
    rows = [row for row, product in enumerate(own) if values[product]]
    fields = [split.product_fields(own[row]) for row in rows]
    hidden = [hidden_words(split, text, name, [values[own[row]]]) for text, row in zip(fields, rows, strict=True)]
    blank: list[Mapping[str, str]] = [{}] * len(rows)
    scores = {}
    for key, shown, words in (("aetp", fields, hidden), ("aetp_prompt_only", blank, [set[str]()] * len(rows))):
        table = np.full((len(own), len(known)), -np.inf, dtype=np.float32)
        table[rows] = score_values(adapter, tokens[rows], shown, words, name, known)
        scores[key] = gather_in_order([table])
    return scores


@torch.no_grad()
def score_values(
    adapter: Adapter,
    tokens: Tensor,
    fields: Sequence[Mapping[str, str]],
    hidden: Sequence[set[str]],
    name: str,
    values: Sequence[str],
) -> Tensor:
    """Scores each value of an attribute for each product by the mean log-probability of its word pieces.

    Values of equal length share a masked text and a joint pass. A value that exceeds the model's text length scores
    -inf.

    Args:
        adapter: adapter of a model with `predicts_words`.
        tokens: image tokens (N, T, W).
        fields: text fields of each product.
        hidden: words to hide in the text of each product.
        name: the attribute.
        values: the V values.

    Returns:
        Scores (N, V).
    """
    tokenizer, max_length = adapter.model.tokenizer, adapter.model.max_length
    pieces = [text_pieces(tokenizer, value) for value in values]
    scores = torch.full((len(fields), len(values)), -torch.inf)
    for length in sorted(set(map(len, pieces))):
        columns = [column for column, ids in enumerate(pieces) if len(ids) == length]
        wanted = torch.tensor([pieces[column] for column in columns], device=adapter.device)
        masked = [
            mask_value(field, tokenizer, words, name, length, max_length)
            for field, words in zip(fields, hidden, strict=True)
        ]
        fitting = [row for row, text in enumerate(masked) if sum(label >= 0 for label in text.labels) == length]
        # Batch texts of similar length to avoid padding.
        fitting.sort(key=[len(text.input_ids) for text in masked].__getitem__)
        for rows in (fitting[start : start + BATCH] for start in range(0, len(fitting), BATCH)):
            batch = pad_masked([masked[row] for row in rows], tokenizer)
            input_ids, mask, labels, _ = (part.to(adapter.device) for part in batch)
            logits = adapter.predict_words(tokens[rows], Text(input_ids, mask), labels >= 0)
            found = piece_scores(logits.reshape(len(rows), length, -1), wanted)
            scores[torch.tensor(rows)[:, None], torch.tensor(columns)] = found.cpu()
    return scores
