"""Protocols that state what tasks need from a dataset, and a check that names what a dataset lacks.

A dataset is a `torch.utils.data.Dataset` whose items are dicts. A protocol lists the attributes and methods that one
purpose needs, and the `TypedDict` next to it lists the keys of the items. Any class that has them works; it does not
have to inherit from a protocol. docs/datasets.md shows them as a table.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.random_state import seeded

Picture = Image.Image | np.ndarray  # RGB; an array is uint8 (H, W, 3)


class ProductFile(Protocol):
    """The unprocessed products of one split, which `ProductDataset` and `ProductEvalDataset` read.

    Attributes:
        path: the file or folder, named in error messages.
        product_ids: (P,) int64, unique.
        row_product: (N,) int64, the index of the product that each image shows.
        texts: field (title, description, attributes) -> P strings, "" where a product has none.
    """

    path: Path
    product_ids: np.ndarray
    row_product: np.ndarray
    texts: dict[str, list[str]]

    def image(self, row: int) -> Picture:
        """Reads the image in this row."""
        ...


class TextRewriter(Protocol):
    """Rewriter of a product's text for another value of an attribute, for the attribute probe's wrong texts."""

    def changed_fields(
        self, product: int, name: str, fields: Mapping[str, str], rng: np.random.Generator
    ) -> dict[str, str] | None:
        """Returns the fields with another value of this attribute, drawn from `rng`; None if they do not mention it."""
        ...


class Split(Protocol):
    """Any split: items by index, and a method that collates them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...

    def collater(self, samples: list[Any]) -> dict[str, Any]:
        """Collates items into a batch; LAVIS's `BaseDataset` defines it."""
        ...


class TrainingItem(TypedDict):
    """An item to pre-train or fine-tune on. `image_2`, a second view of the product, is optional."""

    image: Tensor  # (3, S, S)
    text_input: str
    fields: Mapping[str, str]  # title, description and attributes, unprocessed
    product_id: int


class TrainingSplit(Split, Protocol):
    """Products for pre-training, or for fine-tuning on retrieval; items as `TrainingItem`."""


class ProductItem(TypedDict):
    """An item of an evaluation split of products."""

    image: Tensor  # (3, S, S)
    image_id: int


class ProductSplit(Split, Protocol):
    """An evaluation split of N images of P products, one item per image (`ProductItem`).

    Attributes:
        product_ids: (P,) int64.
        row_product: (N,) int64, the index of the product that each image shows.
        subcategory: (P,) str; the sub-test draws negatives from the same subcategory.
        attribute_words: attribute -> the single words that name its values in titles and descriptions; may be empty.
        extra_attributes: attribute without a text field -> its value in words for each of the P products, "" where a
            product has none; may be empty.
        unseen_attributes: the attributes that photographs do not show, such as season and year.
        text_rewriter: changes one of `extra_attributes` in a product's text; may be None, but must exist.
        text_processor: builds the text of a product from its fields.
    """

    product_ids: np.ndarray
    row_product: np.ndarray
    subcategory: np.ndarray
    attribute_words: Mapping[str, Sequence[str]]
    extra_attributes: Mapping[str, Sequence[str]]
    unseen_attributes: Sequence[str]
    text_rewriter: TextRewriter | None
    text_processor: Callable[[Mapping[str, str]], str]

    def product_fields(self, product: int) -> Mapping[str, str]:
        """Returns title, description and attributes of the product with this index, "" where it has none."""
        ...

    def photograph(self, row: int) -> Picture:
        """Returns the unprocessed image in this row, for pictures of results."""
        ...


class LabelledItem(TypedDict):
    """An item for recognition; `text_input` must not state the label."""

    image: Tensor  # (3, S, S)
    text_input: str
    label: int


class LabelledSplit(Split, Protocol):
    """Images with class labels; items as `LabelledItem`.

    Splits of a dataset without a training split also need `use_classes(classnames)`, which numbers their classes as a
    checkpoint does.

    Attributes:
        labels: (P,) int64, the class index of each product; None if the dataset was built without labels.
        classnames: the classes that a model can predict, those of the training split, in the order of their indices.
        unseen: classes that only this split has; their indices follow, and a model never predicts them.
    """

    labels: np.ndarray | None
    classnames: Sequence[str]
    unseen: Sequence[str]


class RequestItem(TypedDict):
    """A training item for text-guided retrieval: a reference image, a text that changes it, and the target image."""

    image: Tensor  # (3, S, S)
    target_image: Tensor  # (3, S, S)
    text_input: str


class RequestSplit(Split, Protocol):
    """Training requests for text-guided retrieval; items as `RequestItem`."""


class GalleryItem(TypedDict):
    """An image of the gallery of text-guided retrieval."""

    image: Tensor  # (3, S, S)


class CompositionSplit(Split, Protocol):
    """An evaluation split of text-guided retrieval: N gallery images as items (`GalleryItem`), and Q requests.

    Attributes:
        texts: Q strings.
        reference, target: (Q,) int64, gallery rows.
        row_class: (N,) str, the garment class of each gallery image.
        keys: N keys, for `photograph`.
    """

    texts: Sequence[str]
    reference: np.ndarray
    target: np.ndarray
    row_class: np.ndarray
    keys: Sequence[Any]

    def photograph(self, key: Any) -> Picture:
        """Returns the unprocessed image with this key, for pictures of results."""
        ...


ITEMS: dict[type, Any] = {
    TrainingSplit: TrainingItem,
    ProductSplit: ProductItem,
    LabelledSplit: LabelledItem,
    RequestSplit: RequestItem,
    CompositionSplit: GalleryItem,
}


def require(dataset: Any, protocol: type, task: str) -> None:
    """Checks that a dataset has everything that a protocol requires.

    The first item is read under a separate seed, so the check changes no later random draw. Streams are not read.

    Args:
        dataset: one split.
        protocol: a key of `ITEMS`.
        task: registered name of the task, for the message.

    Raises:
        UserError: attributes or item keys are missing; the message names all of them.
    """
    stream = isinstance(dataset, IterableDataset)
    missing = [name for name in _members(protocol) if not (hasattr(dataset, name) or stream and name == "__len__")]
    if protocol is LabelledSplit and "labels" not in missing and dataset.labels is None:
        missing.append("labels (set `label` of the dataset)")
    lacking = [f"the attributes {', '.join(missing)}"] if missing else []
    if not stream and "__len__" not in missing and len(dataset):
        with seeded(0):
            item = dataset[0]
        keys = [key for key in ITEMS[protocol].__annotations__ if key not in item]
        lacking += [f"the item keys {', '.join(keys)}"] if keys else []
    if lacking:
        raise UserError(
            f"{task} cannot use the dataset {type(dataset).__name__}, which lacks {' and '.join(lacking)} "
            "(see docs/datasets.md)."
        )


def _members(protocol: type) -> list[str]:
    """Returns the names that a protocol and its base protocols declare."""
    names: dict[str, None] = {}
    for base in reversed(protocol.__mro__):
        if base.__module__ == __name__:
            methods = [name for name in vars(base) if not name.startswith("_") or name == "__len__"]
            names |= dict.fromkeys([*inspect.get_annotations(base), *methods])
    return list(names)
