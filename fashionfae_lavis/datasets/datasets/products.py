"""Products as LAVIS datasets: a random view of each product for training, every image for evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lavis.datasets.datasets.base_dataset import BaseDataset
from torch.utils.data import default_collate

from fashionfae_lavis.datasets.protocols import Picture, ProductFile, TextRewriter
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.random_state import seeded
from fashionfae_lavis.text.everyday import is_unseen
from fashionfae_lavis.text.product_text import attribute_names


class _ProductsBase(BaseDataset):
    """Base class of `ProductDataset` and `ProductEvalDataset`; see datasets/protocols.py for the attributes.

    Args:
        file: the products' texts and images.
        vis_processor, text_processor: applied to an image and to the fields of a product.
        label: the field whose value is the class of a product. Items then have a "label", and their text omits the
            prompt of this field.
        classnames: with `label`, the classes of the training split, in the order of their indices.
        attribute_words, extra_attributes, unseen_attributes, text_rewriter: facts about the attributes, for the
            attribute probe and the grounding report. Without `unseen_attributes`, names decide, see `is_unseen`.
    """

    def __init__(
        self,
        file: ProductFile,
        vis_processor,
        text_processor,
        *,
        label: str | None = None,
        classnames: Sequence[str] = (),
        attribute_words: Mapping[str, Sequence[str]] | None = None,
        extra_attributes: Mapping[str, Sequence[str]] | None = None,
        unseen_attributes: Sequence[str] | None = None,
        text_rewriter: TextRewriter | None = None,
    ):
        super().__init__(vis_processor, text_processor, vis_root=str(file.path))
        self.file = file
        self.product_ids, self.row_product = file.product_ids, file.row_product
        if not np.issubdtype(np.asarray(self.product_ids).dtype, np.integer):
            raise UserError(
                f"{file.path}: the product ids must be integers, not {self.product_ids[0]!r}: number the products."
            )
        classes = next((file.texts[name] for name in ("sub category", "category") if name in file.texts), None)
        self.subcategory = np.array(classes or [""] * len(self.product_ids))
        self.attribute_words = attribute_words or {}
        self.extra_attributes = {} if extra_attributes is None else extra_attributes
        if unseen_attributes is None:
            unseen_attributes = tuple(filter(is_unseen, attribute_names(file.texts)))
        self.unseen_attributes = unseen_attributes
        self.text_rewriter = text_rewriter
        self.label_field = label
        self.labels: np.ndarray | None = None
        self.use_classes(classnames)

    def use_classes(self, classnames: Sequence[str]) -> None:
        """Numbers the classes as in `classnames`; values of the label that it lacks become `unseen`."""
        self.classnames, self.unseen = list(classnames), list[str]()
        if self.label_field is not None:
            values = self.file.texts[self.label_field]
            self.unseen = sorted(set(values) - set(classnames))
            number = {name: i for i, name in enumerate([*classnames, *self.unseen])}
            self.labels = np.array([number[value] for value in values])

    def product_fields(self, product: int) -> dict[str, str]:
        """Returns the texts of the product with this index (not its id), "" where it has none."""
        return {name: texts[product] for name, texts in self.file.texts.items()}

    def photograph(self, row: int) -> Picture:
        """Returns the unprocessed image in this row."""
        return self.file.image(row)

    def image(self, row: int) -> torch.Tensor:
        """Returns the processed image in this row, (3, S, S)."""
        return self.vis_processor(self.photograph(row))

    def item(self, product: int, row: int, index: int) -> dict[str, Any]:
        """Returns the item of a product with the image in one of its rows."""
        fields = self.product_fields(product)
        label = {} if self.labels is None else {"label": int(self.labels[product])}
        return {
            "image": self.image(row),
            "text_input": self._text(fields),
            "fields": fields,
            "product_id": int(self.product_ids[product]),
            "image_id": int(row),
            "instance_id": str(index),
            **label,
        }

    def _text(self, fields: Mapping[str, str]) -> str:
        """Returns the text of a product without the prompt of its label."""
        return self.text_processor({name: value for name, value in fields.items() if name != self.label_field})

    def sample_texts(self, count: int) -> list[str]:
        """Returns the texts of up to `count` products, spread over the split; draws from no global generator."""
        products = np.linspace(0, len(self.product_ids) - 1, min(count, len(self.product_ids)), dtype=int)
        with seeded(0):
            return [self._text(self.product_fields(product)) for product in products.tolist()]

    def collater(self, samples: list[dict]) -> dict[str, Any]:
        """Collates images to (B, 3, S, S); `product_id`, `image_id` and `label` to (B,) int64; the rest to lists."""
        batch: dict[str, Any] = {key: [sample[key] for sample in samples] for key in samples[0]}
        for key in batch.keys() & {"image", "image_2"}:
            batch[key] = default_collate(batch[key])  # in a worker process, directly into shared memory
        for key in batch.keys() & {"product_id", "image_id", "label"}:
            batch[key] = torch.tensor(batch[key])
        return batch


class ProductDataset(_ProductsBase):
    """A `TrainingSplit`: one item per product, with a random view drawn at each access from torch's global generator.

    With `double_view`, `image_2` is another view, or the same view if the product has only one.
    """

    def __init__(self, file: ProductFile, vis_processor, text_processor, double_view: bool = False, **options):
        super().__init__(file, vis_processor, text_processor, **options)
        self.double_view = double_view
        counts = np.bincount(self.row_product)
        self._views = np.split(np.argsort(self.row_product, kind="stable"), np.cumsum(counts)[:-1])

    def __len__(self) -> int:
        return len(self.product_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        views = self._views[index]
        first = int(torch.randint(len(views), ()))
        item = self.item(index, views[first], index)
        if self.double_view:
            others = np.delete(views, first) if len(views) > 1 else views
            item["image_2"] = self.image(others[int(torch.randint(len(others), ()))])
        return item


class ProductEvalDataset(_ProductsBase):
    """A `ProductSplit`: one item per image."""

    def __len__(self) -> int:
        return len(self.row_product)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.item(int(self.row_product[index]), index, index)
