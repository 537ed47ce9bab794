"""The attribute probe: can a model tell apart items that differ in one attribute? (METHOD 1)

Three questions about each attribute of a product, all of one image, its first:

    ITC    which of all values? Those of `the image <name> is <value>`, ranked by similarity with the image.
    AETP   which of all values, as a masked word? Ranked by likelihood at the [MASK]s of the attribute's prompt, given
           the image; with the rest of the product's text, in which the words that tell the value are hidden too, and
           with nothing but this prompt. Only models that predict masked words (FashionFAE) are asked.
    pairs  which of two texts that differ in this attribute only, by similarity with the image?

A value of k pieces is scored by the mean log-probability of its pieces at k [MASK]s. Among values of one length this is
the order of their likelihoods. Across lengths a likelihood would nearly always favour the shortest, as each further
piece multiplies it by a number below one; the mean does not. The prior is part of the answer, as in AETP's training:
how far it goes alone is what the share of the most frequent value says.
"""

from pathlib import Path

import numpy as np
import torch
from lavis.common.registry import registry
from lavis.tasks.base_task import BaseTask
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.distributed import gather_in_order, own_share
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_questions import attribute_values, hidden_words, pair_texts, prompt
from fashionfae_lavis.evaluation.embedding import first_images
from fashionfae_lavis.evaluation.grounding import spread_products
from fashionfae_lavis.masking.word_masks import mask_value, pad_masked
from fashionfae_lavis.metrics.attribute_probe import pair_hits, piece_scores, share, value_ranks, value_shares
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.features import global_embeddings
from fashionfae_lavis.reports.attribute_chart import draw_attribute_chart
from fashionfae_lavis.reports.tables import attribute_table
from fashionfae_lavis.tasks.retrieval import embed_texts
from fashionfae_lavis.text.word_pieces import Text, text_pieces

BATCH = 32  # joint passes at once


@torch.no_grad()
def score_values(model, tokens: Tensor, fields: list[dict], hidden: list[set], name: str, values: list[str]) -> Tensor:
    """AETP's score of each value for each product, by the rule above.

    Values of as many pieces share a masked text, and a joint pass. A value that does not fit into the model's text
    length is -inf.

    Args:
        tokens: pooled image tokens (N, T, D); fields, hidden: for each product its text and the words to hide in it.

    Returns:
        (N, V).
    """
    pieces = [text_pieces(model.tokenizer, value) for value in values]
    scores = torch.full((len(fields), len(values)), -torch.inf)
    for length in sorted(set(map(len, pieces))):
        columns = [column for column, ids in enumerate(pieces) if len(ids) == length]
        wanted = torch.tensor([pieces[column] for column in columns], device=model.device)
        masked = [
            mask_value(field, model.tokenizer, words, name, length, model.max_length)
            for field, words in zip(fields, hidden, strict=True)
        ]
        fitting = [row for row, text in enumerate(masked) if sum(label >= 0 for label in text.labels) == length]
        # Texts of similar length share a batch, so that little is padded.
        fitting.sort(key=lambda row: len(masked[row].input_ids))
        for rows in (fitting[start : start + BATCH] for start in range(0, len(fitting), BATCH)):
            batch = pad_masked([masked[row] for row in rows], model.tokenizer)
            input_ids, mask, labels, _ = (part.to(model.device) for part in batch)
            logits, _ = model.predict_words(tokens[rows], Text(input_ids, mask), labels >= 0)
            found = piece_scores(logits.unflatten(0, (len(rows), length)), wanted)
            scores[torch.tensor(rows)[:, None], torch.tensor(columns)] = found.cpu()
    return scores


def choose_attributes(
    values: dict[str, list[str]], products: np.ndarray
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The attributes that can be asked of these products, and why each of the others cannot (a reason in words)."""
    left_out = {}
    for name, own in values.items():
        if not any(own[product] for product in products):
            left_out[name] = "no product has it"
        elif len(set(own) - {""}) < 2:
            left_out[name] = "it has one value only"
    if len(left_out) == len(values):
        reasons = ", ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UserError(f"attribute_probe needs an attribute with two values or more; of this data set's, {reasons}.")
    return {name: own for name, own in values.items() if name not in left_out}, left_out


@torch.no_grad()
def read_images(model, data_loader: DataLoader, products: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """Global embeddings (N, D) of the first image of each product and, of a model with AETP, the pooled tokens
    (n, T, W) of this process's share of them."""
    embeddings, tokens = [], []
    for batch in first_images(data_loader, own_share(products)):
        embeddings.append(global_embeddings(model, image=batch["image"]).cpu().numpy())
        if isinstance(model, FashionFAE):
            tokens.append(model.fusion_tokens(batch["image"].to(model.device)))
    return gather_in_order(embeddings), torch.cat(tokens or [torch.empty(0)])


def word_scores(model, dataset, tokens: Tensor, products, name: str, values: list[str], known: list[str]) -> dict:
    """AETP's scores (N, V) of all `known` values for each product, with the rest of its text and without.

    Rows of products that do not have the attribute are -inf.
    """
    own = own_share(products)
    rows = [row for row, product in enumerate(own) if values[product]]
    fields = [dataset.product_fields(product) for product in own[rows]]
    hidden = [hidden_words(dataset, text, name, [values[p]]) for text, p in zip(fields, own[rows], strict=True)]
    texts = {"aetp": (fields, hidden), "aetp_prompt_only": ([{}] * len(rows), [set()] * len(rows))}
    scores = {}
    for key, (shown, words) in texts.items():
        table = np.full((len(own), len(known)), -np.inf, dtype=np.float32)
        table[rows] = score_values(model, tokens[rows], shown, words, name, known)
        scores[key] = gather_in_order([table])
    return scores


@registry.register_task("attribute_probe")
class AttributeProbeTask(BaseTask):
    """Asks about up to `run.probe_products` products (default 500) of the split; `run.seed` draws the pairs."""

    def __init__(self, products: int, seed: int):
        super().__init__()
        self.products, self.seed = products, seed
        self.results = None  # of the last evaluation

    @classmethod
    def setup_task(cls, cfg):
        return cls(int(cfg.run_cfg.get("probe_products", 500)), int(cfg.run_cfg.get("seed", 42)))

    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> dict:
        """Accuracies in percent; the processes share the work. For ties and intervals see metrics/attribute_probe.py.

        Returns:
            "attributes": for each, `seen` (whether a picture shows it), `values`, `products`, `chance`, `majority`,
            and {accuracy, half_width, n} of `itc`, `aetp`, `aetp_prompt_only` (for models with AETP) and `pairs` (where
            there are any); "left_out": attribute -> why; "agg_metrics": the mean of the pairs' accuracies, or of
            ITC's where there are none.

        Raises:
            UserError: no attribute has two values, or the model's scores are not numbers.
        """
        dataset = data_loader.dataset
        products = spread_products(dataset, self.products)
        asked, left_out = choose_attributes(attribute_values(dataset), products)
        images, tokens = read_images(model, data_loader, products)
        results = {}
        for name, values in asked.items():
            known = sorted(set(values) - {""})
            places = np.array([place for place, product in enumerate(products) if values[product]])
            right = np.array([known.index(values[product]) for product in products[places]])
            result = results[name] = {
                "seen": name not in getattr(dataset, "unseen_attributes", ()),
                "values": len(known),
                "products": len(places),
                "chance": 100 / len(known),
                "majority": 100 * float(np.bincount(right).max() / len(right)),
            }
            scores = {"itc": images @ embed_texts(model, [prompt(name, value) for value in known]).T}
            if isinstance(model, FashionFAE):
                scores |= word_scores(model, dataset, tokens, products, name, values, known)
            for key, table in scores.items():
                result[key] = value_shares(value_ranks(table[places], right), len(known))
            rng = np.random.default_rng((self.seed, *name.encode()))  # the attribute's own: others do not change it
            rows, true, false = pair_texts(dataset, name, values, products, rng)
            if len(rows):
                distinct = {text: i for i, text in enumerate(dict.fromkeys(true + false))}
                texts = embed_texts(model, list(distinct))
                fits = [(images[rows] * texts[[distinct[text] for text in side]]).sum(1) for side in (true, false)]
                result["pairs"] = share(pair_hits(*fits))
        told = [row["pairs"] for row in results.values() if "pairs" in row] or [row["itc"] for row in results.values()]
        mean = float(np.mean([figures["accuracy"] for figures in told]))
        self.results = {"attributes": results, "left_out": left_out, "agg_metrics": mean}
        return self.results

    def after_evaluation(self, val_result, split_name, epoch, **kwargs) -> dict:
        return val_result

    def report(self, model, output_dir: Path) -> dict:
        """Draws the last evaluation; returns {"attribute_chart": path of the picture}."""
        path = output_dir / "attribute_probe.png"
        draw_attribute_chart(self.results["attributes"], path)
        return {"attribute_chart": str(path)}

    def format(self, results: dict) -> str:
        """The table for people."""
        return attribute_table(results)
