"""The base class of the builders of product datasets."""

from collections.abc import Mapping
from typing import Any

from lavis.datasets.builders.base_dataset_builder import BaseDatasetBuilder

from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset
from fashionfae_lavis.datasets.protocols import ProductFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.product_text import attribute_names


class ProductBuilder(BaseDatasetBuilder):
    """Builder of `train` with one item per product, and of every other split with one item per image.

    It reads two keys of the dataset's configuration: `double_view` adds a second view, "image_2", to training items.
    `label` names the field whose value is the class; the classes are the sorted values of the training split or,
    without one, of all splits.
    """

    train_dataset_cls = ProductDataset
    eval_dataset_cls = ProductEvalDataset

    def open_files(self) -> Mapping[str, ProductFile]:
        """Opens the products of each split that has any, at least one."""
        raise NotImplementedError

    def options(self, split: str, file: ProductFile) -> dict[str, Any]:
        """Returns additional keyword arguments for the dataset of a split."""
        return {}

    def _download_data(self) -> None:
        """Downloads nothing: `open_files` reports what is missing."""

    def build(self) -> dict[str, ProductDataset | ProductEvalDataset]:
        self.build_processors()
        files = self.open_files()
        label, double_view = self.config.get("label") or None, self.config.get("double_view", False)
        # Without training products, the classes are those to evaluate on.
        named = [files["train"]] if "train" in files else list(files.values())
        if label and label not in named[0].texts:
            known = ", ".join(attribute_names(named[0].texts)) or "none"
            raise UserError(f"`label` of the dataset is {label!r}, but its attributes are: {known}; name one of them.")
        classnames = sorted({value for file in named for value in file.texts[label]}) if label else []
        datasets = {}
        for split, file in files.items():
            dataset_class, name, views = self.eval_dataset_cls, "eval", {}
            if split == "train":
                dataset_class, name, views = self.train_dataset_cls, "train", {"double_view": double_view}
            datasets[split] = dataset_class(
                file,
                self.vis_processors[name],
                self.text_processors[name],
                label=label,
                classnames=classnames,
                **views,
                **self.options(split, file),
            )
        return datasets
