"""Products as LAVIS data sets: a random view of each to train on, all images to evaluate on."""

from collections.abc import Sequence

import numpy as np
import torch
from lavis.datasets.datasets.base_dataset import BaseDataset


class _ProductsBase(BaseDataset):
    """What both have: `product_ids` (P,), `subcategory` (P,) str, `row_product` (N,).

    After `set_labels` items have a "label", and their text no longer the prompt that would state it.

    Args:
        file: what holds the products: `path`; `product_ids` (P,) int64; `row_product` (N,) int64, index of the product
            of each image; `texts`, for each field a list of P strings; `image(row)`, a PIL image or uint8 (H, W, 3).
    """

    unseen_attributes = ("season",)  # which no picture shows

    def __init__(self, file, vis_processor, text_processor):
        super().__init__(vis_processor, text_processor, vis_root=str(file.path))
        self.file = file
        self.product_ids, self.row_product = file.product_ids, file.row_product
        kinds = next((file.texts[name] for name in ("sub category", "category") if name in file.texts), None)
        self.subcategory = np.array(kinds or [""] * len(self.product_ids))
        self.labels = self.label_field = None

    def set_labels(self, field: str, classnames: Sequence[str]) -> None:
        """Label each product with the place of its text `field` in `classnames`.

        Sets `classnames`, which is LAVIS's name for it, `unseen` (sorted values of this split that are not among
        them: their labels come after the others, so that no prediction can be right) and `labels` (P,) int64.
        """
        values = self.file.texts[field]
        self.label_field, self.classnames = field, list(classnames)
        self.unseen = sorted(set(values) - set(classnames))
        number = {name: label for label, name in enumerate([*self.classnames, *self.unseen])}
        self.labels = np.array([number[value] for value in values])

    def product_fields(self, product: int) -> dict[str, str]:
        """The texts of the product with this index (not its id), an empty string where it has none."""
        return {name: texts[product] for name, texts in self.file.texts.items()}

    def image(self, row: int) -> torch.Tensor:
        """The processed image of this row, (3, S, S)."""
        return self.vis_processor(self.file.image(row))

    def item(self, product: int, row: int, index: int) -> dict:
        fields = self.product_fields(product)
        label = {} if self.labels is None else {"label": int(self.labels[product])}
        return {
            "image": self.image(row),
            "text_input": self.text_processor({k: v for k, v in fields.items() if k != self.label_field}),
            "fields": fields,
            "product_id": int(self.product_ids[product]),
            "image_id": int(row),
            "instance_id": str(index),
            **label,
        }

    def collater(self, samples: list[dict]) -> dict:
        """A batch: images (B, 3, S, S), `product_id`, `image_id` and `label` (B,) int64, all else lists of B."""
        batch = {key: [sample[key] for sample in samples] for key in samples[0]}
        for key in batch.keys() & {"image", "image_2"}:
            batch[key] = torch.stack(batch[key])
        for key in batch.keys() & {"product_id", "image_id", "label"}:
            batch[key] = torch.tensor(batch[key])
        return batch


class ProductDataset(_ProductsBase):
    """One item per product, with one of its views drawn at each access from torch's global generator.

    With `double_view`, `image_2` is another view, or the same one again of a product that has only one.
    """

    def __init__(self, file, vis_processor, text_processor, double_view: bool = False):
        super().__init__(file, vis_processor, text_processor)
        self.double_view = double_view
        counts = np.bincount(self.row_product)
        self._views = np.split(np.argsort(self.row_product, kind="stable"), np.cumsum(counts)[:-1])

    def __len__(self) -> int:
        return len(self.product_ids)

    def __getitem__(self, index: int) -> dict:
        views = self._views[index]
        first = int(torch.randint(len(views), ()))
        item = self.item(index, views[first], index)
        if self.double_view:
            others = np.delete(views, first) if len(views) > 1 else views
            item["image_2"] = self.image(others[int(torch.randint(len(others), ()))])
        return item


class ProductEvalDataset(_ProductsBase):
    """One item per image."""

    def __len__(self) -> int:
        return len(self.row_product)

    def __getitem__(self, index: int) -> dict:
        return self.item(int(self.row_product[index]), index, index)
