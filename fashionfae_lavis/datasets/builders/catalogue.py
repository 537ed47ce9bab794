"""Builders of a prepared catalogue: `fashionfae prepare catalogue` makes one from a table and a folder of images."""

from pathlib import Path

from lavis.common.registry import registry
from lavis.datasets.builders.base_dataset_builder import BaseDatasetBuilder

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset
from fashionfae_lavis.errors import UserError


@registry.register_builder("catalogue")
class CatalogueBuilder(BaseDatasetBuilder):
    """Splits `train` (a product per item), `val` and `test` (an image per item), those that the catalogue has.

    `root` is its folder: relative to the working directory, or below the cache folder if there is none. With `label`,
    the name of an attribute, items have a "label" (recognition); its classes are the sorted values of the training
    split, products without a value are left out, and the text does not state it in a prompt. Raises UserError for a
    catalogue that is missing, damaged, or lacks what is asked for.
    """

    train_dataset_cls = ProductDataset
    eval_dataset_cls = ProductEvalDataset
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "catalogue.yaml")}

    def folder(self) -> Path:
        root = self.config.get("root")
        if not root:
            raise UserError(
                "`root` of the data set is not set: set it to the folder that `fashionfae prepare` has written"
            )
        here = Path(root).expanduser()
        return here if here.exists() else data_folder(root, root)

    def _download_data(self):
        """A catalogue is prepared by hand: what is missing is reported when it is opened."""

    def build(self) -> dict:
        self.build_processors()
        label = self.config.get("label")
        files = read_catalogue(self.folder(), needs=label)
        if "train" not in files:
            raise UserError(f"{self.folder()}: no product is left to train on; the catalogue has {', '.join(files)}")
        train = self.train_dataset_cls(
            files.pop("train"),
            self.vis_processors["train"],
            self.text_processors["train"],
            double_view=self.config.get("double_view", False),
        )
        datasets = {"train": train}
        for split, file in files.items():
            datasets[split] = self.eval_dataset_cls(file, self.vis_processors["eval"], self.text_processors["eval"])
        if label:
            classnames = sorted(set(train.file.texts[label]))
            for dataset in datasets.values():
                dataset.set_labels(label, classnames)
        return datasets


@registry.register_builder("catalogue_retrieval")
class CatalogueRetrievalBuilder(CatalogueBuilder):
    """As `catalogue`; the attributes of a training text come in another order each time (fine-tuning of retrieval)."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "catalogue_retrieval.yaml")}


@registry.register_builder("catalogue_recognition")
class CatalogueRecognitionBuilder(CatalogueBuilder):
    """As `catalogue`, with a `label` (category, unless another attribute is named); the text does not state it."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "catalogue_recognition.yaml")}
