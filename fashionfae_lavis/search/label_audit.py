"""Finds given attributes that the photograph contradicts: probable mistakes in a shop's own data.

Only the photograph is read. Texts would confirm mistakes: a title often repeats the wrong value, or was made from it,
and a text in which the value is hidden still implies it in other words.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashionfae_lavis.datasets.protocols import ProductFile
from fashionfae_lavis.files import replacing
from fashionfae_lavis.prepare.texts import spreadsheet_cell
from fashionfae_lavis.search.calibration import Floats
from fashionfae_lavis.search.labels import FittedAttribute, Labeller, photographs
from fashionfae_lavis.search.product_table import ProductTable
from fashionfae_lavis.search.value_scores import value_words


@dataclass(frozen=True)
class Doubt:
    """A given value that the photograph contradicts.

    Attributes:
        product: index of the product.
        attribute: the attribute.
        given: its value in the table.
        seen: the most probable value.
        certainty: probability that the given value is wrong (0 to 1).
    """

    product: int
    attribute: str
    given: str
    seen: str
    certainty: float


def audit(labeller: Labeller, products: ProductFile) -> list[Doubt]:
    """Lists given values that are not the most probable ones, most certain first.

    Args:
        labeller: a labeller whose `ValueScorer` reads no texts.
        products: the products.
    """
    columns = {name: products.texts[name] for name in labeller.attributes if name in products.texts}
    given = [i for i in range(len(products.product_ids)) if any(column[i] for column in columns.values())]
    doubts: list[Doubt] = []
    for batch, images in photographs(products, given, "checking"):
        found = labeller.probabilities(images, names=list(columns))
        for name, column in columns.items():
            doubts += doubted(name, labeller.attributes[name], batch, column, found[name])
    return sorted(doubts, key=lambda doubt: -doubt.certainty)


def doubted(
    name: str, attribute: FittedAttribute, products: Sequence[int], given: Sequence[str], probabilities: Floats
) -> list[Doubt]:
    """Lists the doubts about one attribute.

    Args:
        name: the attribute.
        attribute: how its values are predicted.
        products: B products.
        given: the given value of all products, "" where there is none.
        probabilities: (B, V).
    """
    column: Mapping[str, int] = {value: i for i, value in enumerate(attribute.values)}
    doubts = []
    for product, row in zip(products, probabilities, strict=True):
        own, best = column.get(value_words(name, given[product])), int(np.argmax(row))
        if own is not None and own != best:
            doubts.append(Doubt(product, name, given[product], attribute.spelled[best], 1 - float(row[own])))
    return doubts


def write_doubts(doubts: Sequence[Doubt], table: ProductTable, out: Path) -> None:
    """Writes the doubts as CSV, atomically; raises UserError if the file cannot be written."""
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "id", "image", "attribute", "given", "seen", "certainty"])
        for doubt in doubts:
            i = doubt.product
            own = [table.product_ids[i], table.ids[i], table.image_name(i)]
            cells = [*own, doubt.attribute, doubt.given, doubt.seen, f"{doubt.certainty:.4f}"]
            writer.writerow(map(spreadsheet_cell, cells))
