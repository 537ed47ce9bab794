"""A product to check, and the base class of sources of products."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fashionfae_lavis.prepare.texts import Spellings


@dataclass
class Product:
    """A product, usually a row of the table.

    Attributes:
        row: number of the row, the first one of merged rows.
        images: paths below the image folder, or web addresses without a file.
        image_problems: image -> why it cannot be used, if this is known before reading the file.
        no_image: the problem to report if the product has no image.
        problem: why the product cannot be used, "" if it can.
        missing: the spellings of missing values in its cells, such as `N/A`.
        group: the values of the `--group` columns; rows with equal ones are merged. Empty if the row is not merged.
        title_parts: column -> text, for the columns that the title is composed of.
    """

    row: int
    id: str = ""
    split: str = ""
    title: str = ""
    description: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    image_problems: dict[str, str] = field(default_factory=dict)
    no_image: str = "no image"
    problem: str = ""
    missing: list[str] = field(default_factory=list)
    group: tuple[str, ...] = ()
    title_parts: dict[str, str] = field(default_factory=dict)


class ProductSource:
    """Base class of sources of products. Iterating over it yields each `Product`.

    Attributes:
        path: the table or folder, for messages.
        attributes: names of the attributes.
        names_splits: whether the source gives the split of each product.
        spellings: the spelling of each attribute value.
        decode_fallbacks: number of byte sequences that were not UTF-8.
        addresses: number of web addresses that were matched to files.
        merged_rows: number of rows that were merged into the product of another row.
    """

    def __init__(self, path: Path, attributes: Iterable[str], names_splits: bool):
        self.path = path
        self.attributes = list(attributes)
        self.names_splits = names_splits
        self.spellings = Spellings(self.attributes)
        self.decode_fallbacks = self.addresses = self.merged_rows = 0

    def __iter__(self) -> Iterator[Product]:
        raise NotImplementedError

    def count(self) -> int | None:
        """Returns the number of products, or None if it is not known before they are read."""
        raise NotImplementedError

    def suggested_attributes(self) -> list[str]:
        """Returns columns that may be attributes, if no attributes are given."""
        return []

    def unified(self, fields: dict[str, str]) -> dict[str, str]:
        """Returns a product's attributes in the first spelling of each value, without empty ones."""
        spelled = {name: self.spellings.of(name, value) for name, value in fields.items()}
        return {name: value for name, value in spelled.items() if value}
