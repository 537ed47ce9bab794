"""Merges the rows of a product's variants, such as its sizes, into one product."""

from collections.abc import Iterable, Iterator

from fashionfae_lavis.prepare.cells import LONGEST_TEXT
from fashionfae_lavis.prepare.images import MOST
from fashionfae_lavis.prepare.source import Product
from fashionfae_lavis.text.product_text import normalise


def merge_variants(products: Iterable[Product], last_rows: dict[str, int]) -> Iterator[Product]:
    """Merges products with equal `group`.

    A product is yielded after the last row with the first value of its group. Few products are in memory if a shop
    lists variants one after another. Empty texts are filled from the first product with the same first value, because
    shops write the title only in the first row of a product.

    Args:
        products: a product for each row. One without a group, or with a problem, is yielded unchanged.
        last_rows: first value of a group -> the last row that has it.
    """
    unfinished: dict[str, dict[tuple[str, ...], _Merged]] = {}
    for product in products:
        if not product.group or product.problem:
            yield product
        if not product.group:
            continue
        name = product.group[0]
        variants = unfinished.setdefault(name, {})
        if not product.problem:
            first = next(iter(variants), product.group)
            group = tuple(value or filler for value, filler in zip(product.group, first, strict=True))
            if group in variants:
                variants[group].add(product)
            else:
                variants[group] = _Merged(product)
        if product.row == last_rows.get(name):
            yield from _finished(unfinished.pop(name))
    for variants in unfinished.values():
        yield from _finished(variants)


def _finished(variants: dict[tuple[str, ...], "_Merged"]) -> Iterator[Product]:
    products = [merged.product() for merged in variants.values()]
    for product in products:
        _fill(product, products[0])
        yield product


class _Merged:
    """Products of one group.

    Images and the values of each attribute are joined without repeats. For all other texts, the first non-empty one is
    kept.
    """

    def __init__(self, product: Product):
        self._product = product
        self._values: dict[str, dict[str, str]] = {}  # attribute -> normalised value -> value
        self._add_values(product)

    def add(self, other: Product) -> None:
        """Adds another product."""
        product = self._product
        _fill(product, other)
        self._add_values(other)
        product.missing += other.missing
        product.image_problems |= other.image_problems
        product.images = list(dict.fromkeys(product.images + other.images))
        if len(product.images) > MOST:
            product.problem = f"has more than {MOST} images"
            product.images = []

    def product(self) -> Product:
        """Returns the merged product."""
        self._product.fields = {name: ", ".join(values.values()) for name, values in self._values.items()}
        if any(len(text) > LONGEST_TEXT for text in self._product.fields.values()):
            self._product.problem = f"has an attribute of more than {LONGEST_TEXT} characters"
        return self._product

    def _add_values(self, product: Product) -> None:
        for name, value in product.fields.items():
            values = self._values.setdefault(name, {})
            if value:
                values.setdefault(normalise(value), value)


def _fill(product: Product, other: Product) -> None:
    """Fills the empty texts of a product."""
    product.title = product.title or other.title
    product.description = product.description or other.description
    product.split = product.split or other.split
    for texts, others in ((product.fields, other.fields), (product.title_parts, other.title_parts)):
        for name, text in others.items():
            texts[name] = texts.get(name) or text
