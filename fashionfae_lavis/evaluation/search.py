"""Product search: short queries such as `navy blue tshirts`, and the protocol of Marqo's fashion benchmark.

A query is embedded as a description. Products are ranked, not images: a product scores as its best image.

Short queries are all pairs of values of two attributes that at least three products have. A product is right if it has
both values. Only the images are searched.

The benchmark (github.com/marqo-ai/marqo-FashionCLIP: eval.py, utils/, configs/, summarize_results.py) has two kinds of
queries:

    text to image            A query is a distinct text (title and description) of a product. All products with this
                             text are right. Only the images are searched.
    <attribute> to product   A query is a value of an attribute. All products with this value are right. A product is
                             embedded as the normalised sum of 0.9 x its image and 0.1 x its text.

Recall@k divides by the number of right products and P@k by k, even if fewer products are right. MRR counts the first
ten products. `average` is the mean of Recall@1 and Recall@10, or of P@1 and P@10. Two things differ from the benchmark:
it draws up to 2,000 texts, and it ranks images rather than products.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_questions import attribute_values
from fashionfae_lavis.evaluation.embedding import embed_images, embed_texts
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.evaluation.search_queries import (
    LEAST,
    Queries,
    attribute_pairs,
    benchmark_attributes,
    queries_of,
)
from fashionfae_lavis.metrics.search import mean_reciprocal_rank, precision, recall, right_ranks
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.reports.tables import benchmark_table, search_table
from fashionfae_lavis.text.product_text import description_words

IMAGE_WEIGHT = 0.9  # weight of the image in a product's embedding in the benchmark; the text has the remaining 0.1
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class SearchResult(EvaluationResult):
    """Figures of product search in percent.

    Attributes:
        pairs: "<attribute>, <attribute>" -> `p1`, `p5`, `p10`, `chance` (mean share of right products, which guessing
            reaches), `p10_limit` (the highest P@10, as some queries have fewer than ten right products), `queries`.
        left_out: the pairs of attributes without a query.
        benchmark: kind of query -> `average`, `mrr`, `chance` (of r1 or p1) and `queries`. "text to image" also has
            `r1` and `r10`. "category to product" and the like have `p1`, `p10` and the `attribute`.
        products: number of products that are ranked.
    """

    pairs: Mapping[str, dict[str, float]]
    left_out: Sequence[str]
    benchmark: Mapping[str, dict[str, Any]]
    products: int

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each figure over the pairs of attributes, and the sum of their `queries`; empty without pairs."""
        rows = list(self.pairs.values())
        if not rows:
            return {}
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        return {**means, "queries": sum(row["queries"] for row in rows)}

    def to_json(self) -> dict[str, Any]:
        figures = [self.mean.get("p10"), *(row["average"] for row in self.benchmark.values())]
        return {
            "pairs": dict(self.pairs),
            "mean": self.mean,
            "left_out": list(self.left_out),
            "benchmark": dict(self.benchmark),
            "products": self.products,
            "agg_metrics": next(figure for figure in figures if figure is not None),
        }

    def table(self) -> str:
        tables = [search_table(self.pairs, self.mean, self.products, self.left_out)] if self.pairs else []
        return "\n\n".join([*tables, benchmark_table(self.benchmark)])


def evaluate_product_search(
    adapter: Adapter,
    data_loader: DataLoader[Any],
    attributes: Sequence[str] | None = None,
    roles: Mapping[str, str | None] | None = None,
) -> SearchResult:
    """Searches the products of a split by short queries and by the benchmark's; the processes share the work.

    Args:
        adapter: adapter of a model with `embeds`.
        data_loader: the images of a `ProductSplit`, one item per image.
        attributes: attributes that make up the short queries; None for all.
        roles: the benchmark's role -> attribute, see `benchmark_attributes`.

    Raises:
        UserError: the split has neither texts nor attributes, it lacks a named attribute, or embeddings are not finite.
    """
    split = cast(ProductSplit, data_loader.dataset)
    values = attribute_values(split)
    pairs, named = attribute_pairs(list(values), attributes), benchmark_attributes(list(values), roles or {})
    short = {", ".join(pair): queries_of([values[name] for name in pair], LEAST) for pair in pairs}
    descriptions = [" ".join(description_words(split.product_fields(i))) for i in range(len(split.product_ids))]
    by_text = queries_of([descriptions])
    by_value = {role: queries_of([values[name]]) for role, name in named.items()}
    if not any(queries.texts for queries in (*short.values(), by_text, *by_value.values())):
        raise UserError("`datasets`: product_search needs products with a title, a description or attributes.")

    index = SearchIndex(adapter, split, embed_images(adapter, data_loader))
    found = {pair: _pair_figures(index.ranks(queries), queries) for pair, queries in short.items() if queries.texts}
    benchmark: dict[str, dict[str, Any]] = {}
    if by_text.texts:
        benchmark["text to image"] = _text_figures(index.ranks(by_text), by_text)
        index = index.with_texts(descriptions)
    for role, queries in by_value.items():
        if queries.texts:
            figures = _value_figures(index.ranks(queries), queries)
            benchmark[f"{role.replace('_', ' ')} to product"] = {"attribute": named[role], **figures}
    left_out = [pair for pair in short if pair not in found]
    return SearchResult(found, left_out, benchmark, len(split.product_ids))


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """The embedded images (N, D) of a split, to be searched with texts."""

    adapter: Adapter
    split: ProductSplit
    images: NDArray[np.float32]

    def with_texts(self, texts: list[str]) -> "SearchIndex":
        """Returns an index of 0.9 x image + 0.1 x text of the image's product; without a text, of the image alone.

        Args:
            texts: P texts, one for each product, "" for none.
        """
        known = np.array([bool(text) for text in texts])
        embeds = np.where(known[:, None], self.embed(texts), 0)[self.split.row_product]
        fused = IMAGE_WEIGHT * self.images + (1 - IMAGE_WEIGHT) * embeds
        return SearchIndex(self.adapter, self.split, fused / np.linalg.norm(fused, axis=1, keepdims=True))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts (M, D) as descriptions."""
        return embed_texts(self.adapter, [self.split.text_processor({"description": text}) for text in texts])

    def ranks(self, queries: Queries) -> NDArray[np.int64]:
        """Returns the result of `right_ranks` for these queries, (Q, min(10, P))."""
        return right_ranks(self.embed(queries.texts), self.images, self.split.row_product, queries.answers)


def _pair_figures(ranks: NDArray[np.int64], queries: Queries) -> dict[str, float]:
    return {
        **{f"p{k}": precision(ranks, k) for k in CUTOFFS},
        "chance": _share_of_right(queries),
        "p10_limit": 100 * float(np.mean(np.minimum(queries.right, 10) / 10)),
        "queries": len(queries.texts),
    }


def _text_figures(ranks: NDArray[np.int64], queries: Queries) -> dict[str, float]:
    at = {f"r{k}": recall(ranks, queries.right, k) for k in (1, 10)}
    chance = 100 / len(queries.answers)  # Recall@1 of guessing, however many products are right
    return _benchmark_figures(at, ranks, chance)


def _value_figures(ranks: NDArray[np.int64], queries: Queries) -> dict[str, float]:
    at = {f"p{k}": precision(ranks, k) for k in (1, 10)}
    return _benchmark_figures(at, ranks, _share_of_right(queries))


def _benchmark_figures(at: dict[str, float], ranks: NDArray[np.int64], chance: float) -> dict[str, float]:
    average = float(np.mean(list(at.values())))
    return {**at, "average": average, "mrr": mean_reciprocal_rank(ranks), "chance": chance, "queries": len(ranks)}


def _share_of_right(queries: Queries) -> float:
    """Returns the mean share of right products in percent, the P@k of guessing."""
    return 100 * float(np.mean(queries.right / len(queries.answers)))
