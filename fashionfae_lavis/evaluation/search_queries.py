"""The queries of product search: values of one or two attributes, and the products' own texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.suggestions import hint
from fashionfae_lavis.text.everyday import everyday_order, query_text

LEAST = 3  # a pair of values becomes a query if at least this many products have both

# Names of the attributes that the fashion benchmark searches by.
ROLES = {
    "category": ("category", "master category"),
    "sub_category": ("sub category", "subcategory"),
    "fine_category": ("fine category", "article type", "product type", "type"),
    "colour": ("colour", "color", "base colour", "base color"),
}


@dataclass(frozen=True, eq=False)
class Queries:
    """Q queries about the P products of a split.

    Attributes:
        texts: Q texts.
        answers: (P,), the index of the query that each product is right for, -1 for none.
    """

    texts: list[str]
    answers: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.int64]:
        """The number of right products of each query, (Q,)."""
        return np.bincount(self.answers[self.answers >= 0], minlength=len(self.texts))


def queries_of(values: Sequence[Sequence[str]], least: int = 1) -> Queries:
    """Makes a query from each combination of values that at least `least` products have.

    Args:
        values: for each attribute of the query, in order, the values of all products, "" for none.
        least: number of products that must have a combination.

    >>> queries_of([["red", "red", "blue"], ["shirts", "shirts", ""]]).texts
    ['red shirts']
    """
    products = list(zip(*values, strict=True))
    counts = Counter(found for found in products if all(found))
    asked = sorted(found for found, count in counts.items() if count >= least)
    number = {found: index for index, found in enumerate(asked)}
    return Queries([query_text(found) for found in asked], np.array([number.get(found, -1) for found in products]))


def attribute_pairs(known: Sequence[str], chosen: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Pairs attributes in the order in which their values make an everyday query.

    Attributes of the same kind keep the order of the dataset, in which a category precedes its sub categories.

    Args:
        known: the dataset's attributes.
        chosen: the attributes to pair; None for all.

    Raises:
        UserError: the dataset lacks a chosen attribute, or only one is chosen.

    >>> attribute_pairs(["article type", "colour", "gender"])
    [('gender', 'colour'), ('gender', 'article type'), ('colour', 'article type')]
    """
    for name in chosen or ():
        if name not in known:
            raise UserError(f"run.search_attributes: the dataset has no {name!r}; {hint(name, known)}")
    if chosen is not None and len(set(chosen)) < 2:
        raise UserError("run.search_attributes names fewer than two attributes: name two or more, or set it to null.")
    names = everyday_order(name for name in known if chosen is None or name in chosen)
    return [(first, second) for index, first in enumerate(names) for second in names[index + 1 :]]


def benchmark_attributes(known: Sequence[str], chosen: Mapping[str, str | None]) -> dict[str, str]:
    """Finds the attributes that the fashion benchmark searches by.

    Args:
        known: the dataset's attributes.
        chosen: role -> attribute, for attributes whose names do not reveal their role.

    Returns:
        Role (a key of `ROLES`) -> attribute. Roles without an attribute are omitted.

    Raises:
        UserError: the dataset lacks a chosen attribute.

    >>> benchmark_attributes(["master category", "shade", "fit"], {"colour": "shade"})
    {'category': 'master category', 'colour': 'shade'}
    """
    found = {}
    for role, names in ROLES.items():
        name = chosen.get(role)
        if name and name not in known:
            raise UserError(f"run.search_roles.{role}: the dataset has no {name!r}; {hint(name, known)}")
        name = name or next((each for each in names if each in known), None)
        if name:
            found[role] = name
    return found
