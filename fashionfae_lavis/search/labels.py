"""Names the attributes of products from their photographs and texts, each value with a calibrated confidence.

Products whose value is known choose the way of scoring (value_scores.py) and calibrate it (calibration.py), separately
for each attribute.

    labeller = Labeller.fit(ValueScorer(Encoder.open("fashionfae")), read_catalogue("catalogue")["val"], ["colour"])
    labeller.label([photograph])  # [{"colour": Label(value="Navy Blue", confidence=0.83, runner_up="Black")}]
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.datasets.protocols import ProductFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.calibration import (
    Calibration,
    Floats,
    calibration_error,
    coverage_at,
    cross_fitted,
    fit_calibration,
    log_loss,
)
from fashionfae_lavis.search.value_scores import Fields, ValueScorer, value_words
from fashionfae_lavis.suggestions import hint
from fashionfae_lavis.workers import progress_bar

BATCH = 32
FEWEST, MOST = 20, 2000  # products that calibrate an attribute
UNKNOWN = 1e-12  # probability below which a value counts as impossible

Column = TypeVar("Column")


class Label(NamedTuple):
    """The value of an attribute, its confidence (0 to 1), and the next best value."""

    value: str
    confidence: float
    runner_up: str


@dataclass(frozen=True, eq=False)
class FittedAttribute:
    """How the values of an attribute are predicted, and how well, measured on N products with a known value.

    Attributes:
        values: the V values in normalised words.
        spelled: the same values as the products spell them.
        log_prior: (V,), the log share of products that have each value, with one product added to each.
        way: how values are scored; see value_scores.py.
        calibration: fitted to all N products.
        confidence: (N,), the confidence in each product's value, by a calibration fitted without this product.
        hits: (N,), whether this value was right.
        majority: the share of the N products (0 to 1) that have the most frequent value.
    """

    values: tuple[str, ...]
    spelled: tuple[str, ...]
    log_prior: Floats
    way: str
    calibration: Calibration
    confidence: Floats
    hits: NDArray[np.bool_]
    majority: float

    def figures(self) -> dict[str, Any]:
        """Returns what `reports.labels.labels_table` shows, shares in percent."""
        coverage, threshold = coverage_at(self.confidence, self.hits)
        return {
            "values": len(self.values),
            "products": len(self.hits),
            "way": self.way,
            "accuracy": 100 * float(self.hits.mean()),
            "calibration_error": calibration_error(self.confidence, self.hits),
            "coverage": 100 * coverage,
            "threshold": f"{threshold:.3f}" if coverage else "none",
            "majority": 100 * self.majority,
            "chance": 100 / len(self.values),
        }


class Labeller:
    """Names attributes of products. Make one with `fit`.

    Args:
        scorer: scores values.
        attributes: name -> how its values are predicted.
    """

    def __init__(self, scorer: ValueScorer, attributes: Mapping[str, FittedAttribute]):
        self.scorer, self.attributes = scorer, attributes

    @classmethod
    def fit(
        cls,
        scorer: ValueScorer,
        products: ProductFile,
        names: Sequence[str],
        known: Mapping[str, Iterable[str] | Mapping[str, int]] | None = None,
        batch_size: int = BATCH,
    ) -> "Labeller":
        """Chooses and calibrates a way for each attribute.

        Args:
            scorer: scores values.
            products: products held out from training; up to 2,000 that have a value of any of the attributes are read.
            names: the attributes.
            known: attribute -> the values of all known products, including `products`, or the number of products with
                each value. These are the values to choose from, and give their prior. By default they are the values
                of `products`.
            batch_size: number of photographs that the scorer sees at once.

        Raises:
            UserError: an attribute is unknown, has one value only, or too few products have one.
        """
        own = {name: _column(products.texts, name) for name in names}
        choices = {name: _Choice(name, _column(known or products.texts, name)) for name in names}
        having = [i for i in range(len(products.product_ids)) if any(column[i] for column in own.values())]
        having = [having[i] for i in np.linspace(0, len(having) - 1, min(MOST, len(having))).astype(int)]
        read: list[int] = []
        tables: dict[str, dict[str, list[Floats]]] = {name: {way: [] for way in scorer.ways(name)} for name in names}
        for batch, images in photographs(products, having, "calibrating", batch_size):
            read += batch
            seen = scorer.see(images, [product_fields(products, i) for i in batch])
            for name, ways in tables.items():
                for way, parts in ways.items():
                    parts.append(scorer.scores(seen, way, name, choices[name].values))
        if having and not read:
            raise UserError(
                f"None of the photographs of {len(having)} products can be used: check --images, and the table's "
                "column of images."
            )
        fitted = {}
        for name, ways in tables.items():
            right = choices[name].columns([own[name][i] for i in read])
            having_value = right >= 0
            if having_value.sum() < FEWEST:
                raise UserError(
                    f"--attributes {name}: {having_value.sum()} products with a photograph have a value, and "
                    f"{FEWEST} are needed to calibrate; give more values, or name a --catalogue that has them."
                )
            scores = {way: np.concatenate(parts)[having_value] for way, parts in ways.items()}
            fitted[name] = choices[name].fit(scores, right[having_value])
        return cls(scorer, fitted)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Returns the figures of each attribute."""
        return {name: one.figures() for name, one in self.attributes.items()}

    def probabilities(
        self, images: Sequence[Image.Image], fields: Sequence[Fields] | None = None, names: Sequence[str] | None = None
    ) -> dict[str, Floats]:
        """Computes the probability of each value of attributes for B products.

        Args:
            images: a photograph of each product.
            fields: title, description and attributes of each product, as far as they are known.
            names: the attributes; None means all.

        Returns:
            Attribute -> probabilities (B, V) of its `values`.
        """
        seen = self.scorer.see(images, fields or [{}] * len(images))
        found = {}
        for name in self.attributes if names is None else names:
            one = self.attributes[name]
            scores = self.scorer.scores(seen, one.way, name, one.values)
            found[name] = one.calibration.probabilities(scores, one.log_prior)
        return found

    def label(
        self, images: Sequence[Image.Image], fields: Sequence[Fields] | None = None, names: Sequence[str] | None = None
    ) -> list[dict[str, Label]]:
        """Names attributes of B products; the arguments are those of `probabilities`.

        Returns:
            For each product, attribute -> its label.
        """
        found = self.probabilities(images, fields, names)
        return [
            {name: _label(self.attributes[name], table[row]) for name, table in found.items()}
            for row in range(len(images))
        ]


class _Choice:
    """The values of an attribute to choose from, as known products have them."""

    def __init__(self, name: str, known: Iterable[str] | Mapping[str, int]):
        self.name = name
        spelled: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        for value, count in Counter(known).items():
            words = value_words(name, value)
            self.counts[words] += count
            spelled.setdefault(words, value)
        del self.counts[""]
        self.values = tuple(sorted(self.counts))
        self.spelled = tuple(spelled[value] for value in self.values)
        if len(self.values) < 2:
            found = f"only the value {self.spelled[0]!r}" if self.values else "no value"
            raise UserError(f"--attributes {name}: the products have {found}, so there is nothing to choose from.")

    def columns(self, column: Sequence[str]) -> NDArray[np.int64]:
        """Returns the column of each value, -1 where there is none."""
        number = {value: i for i, value in enumerate(self.values)}
        return np.array([number.get(value_words(self.name, value), -1) for value in column], dtype=np.int64)

    def fit(self, scores: Mapping[str, Floats], right: NDArray[np.int64]) -> FittedAttribute:
        """Chooses the way with the lowest cross-fitted log loss."""
        # All products share one prior. A prior computed without a product would reveal the product's value.
        counts = np.array([self.counts[value] + 1.0 for value in self.values])
        log_prior: Floats = np.log(counts / counts.sum())
        found = {way: cross_fitted(table, log_prior, right) for way, table in scores.items()}
        losses = {way: log_loss(np.log(np.maximum(table, UNKNOWN)), right) for way, table in found.items()}
        way = min(losses, key=losses.__getitem__)
        return FittedAttribute(
            self.values,
            self.spelled,
            log_prior,
            way,
            fit_calibration(scores[way], log_prior, right),
            found[way].max(1),
            found[way].argmax(1) == right,
            float(np.mean(right == counts.argmax())),
        )


def _label(attribute: FittedAttribute, probabilities: Floats) -> Label:
    best, second = np.argsort(-probabilities, kind="stable")[:2]
    return Label(attribute.spelled[best], float(probabilities[best]), attribute.spelled[second])


def _column(texts: Mapping[str, Column], name: str) -> Column:
    if name not in texts:
        raise UserError(f"--attributes {name}: the products have no such attribute; {hint(name, texts)}")
    return texts[name]


def label_products(labeller: Labeller, products: ProductFile) -> tuple[dict[int, dict[str, Label]], int]:
    """Names the attributes that products lack.

    Returns:
        Index of a product -> attribute -> its label; and the number of products without a readable photograph.
    """
    texts = {name: products.texts.get(name, [""] * len(products.product_ids)) for name in labeller.attributes}
    lacking = [i for i in range(len(products.product_ids)) if not all(column[i] for column in texts.values())]
    found: dict[int, dict[str, Label]] = {}
    for batch, images in photographs(products, lacking, "labelling"):
        labels = labeller.label(images, [product_fields(products, i) for i in batch])
        for i, all_labels in zip(batch, labels, strict=True):
            found[i] = {name: label for name, label in all_labels.items() if not texts[name][i]}
    return found, len(lacking) - len(found)


def product_fields(products: ProductFile, product: int) -> dict[str, str]:
    """Returns the texts of a product by field name."""
    return {name: column[product] for name, column in products.texts.items()}


def photographs(
    products: ProductFile, chosen: Sequence[int], description: str, batch_size: int = BATCH
) -> Iterator[tuple[list[int], list[Image.Image]]]:
    """Yields batches of products with the first readable photograph of each; leaves out products that have none.

    Args:
        products: the products.
        chosen: indices of products.
        description: what the progress bar says.
        batch_size: number of photographs in a batch.
    """
    counts = np.bincount(products.row_product, minlength=len(products.product_ids))
    rows = np.split(np.argsort(products.row_product, kind="stable"), np.cumsum(counts)[:-1])
    with progress_bar(len(chosen), description, "product") as bar:
        waiting = iter(chosen)
        while part := list(islice(waiting, batch_size)):
            found = [(i, _first_photograph(products, rows[i].tolist())) for i in part]
            readable = {i: image for i, image in found if image is not None}
            bar.update(len(part))
            if readable:
                yield list(readable), list(readable.values())


def _first_photograph(products: ProductFile, rows: Sequence[int]) -> Image.Image | None:
    for row in rows:
        try:
            image = products.image(row)
            return image if isinstance(image, Image.Image) else Image.fromarray(image)
        except UserError:
            continue
    return None
