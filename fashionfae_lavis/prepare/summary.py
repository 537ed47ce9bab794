"""Statistics of a prepared catalogue."""

from dataclasses import dataclass, field
from pathlib import Path

from fashionfae_lavis.prepare.vocabulary import TextLengths


@dataclass
class Duplicates:
    """Numbers of products that share something with another product.

    Attributes:
        titles: products with the same title as another one.
        texts: products with the same text, including all attributes.
        identical: products with the same image file, byte by byte.
        near: further products with nearly the same photograph.
        leaks: products outside of training that share a photograph with one in training.
    """

    titles: int
    texts: int
    identical: int
    near: int
    leaks: int


@dataclass
class Summary:
    """Statistics of a prepared catalogue.

    Attributes:
        path: the index.
        rows, unusable: numbers of all rows and of unusable rows.
        left_out: number of unusable images of products that have other images.
        images: number of images in the catalogue.
        products: split -> number of products.
        problems: problem -> number of rows that it makes unusable.
        values: attribute -> number of distinct values of the catalogue's products.
        decode_fallbacks: number of byte sequences that were not UTF-8 and were read as Windows-1252.
        respelled: number of attribute values that were changed to the first spelling.
        merged: (attribute, spelling, other spelling) of values that were merged although they differ in a symbol.
        missing: spelling -> number of cells of the catalogue's products that were read as missing, such as `N/A`.
        duplicates: products that equal others.
        lengths: lengths of the training products' texts in word pieces.
        useless: attribute -> why it is left out.
        suggested: columns that may be attributes, if none were given.
        addresses: number of web addresses that were matched to files.
        merged_rows: number of rows that were merged into the product of another row.
    """

    path: Path
    rows: int
    unusable: int
    left_out: int
    images: int
    products: dict[str, int]
    problems: dict[str, int]
    values: dict[str, int]
    decode_fallbacks: int
    respelled: int
    merged: list[tuple[str, str, str]]
    missing: dict[str, int]
    duplicates: Duplicates
    lengths: TextLengths
    useless: dict[str, str] = field(default_factory=dict)
    suggested: list[str] = field(default_factory=list)
    addresses: int = 0
    merged_rows: int = 0
