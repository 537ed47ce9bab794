"""Builders of FashionGen and of FashionGen-Mini, which is drawn into the same files."""

from pathlib import Path

from lavis.common.registry import registry
from lavis.datasets.builders.base_dataset_builder import BaseDatasetBuilder

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.datasets.fashiongen import FashionGenDataset, FashionGenEvalDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.product_text import ATTRIBUTES, CLASSES, prompt_names

TRAIN_FILE = "fashiongen_256_256_train.h5"
VALIDATION_FILE = "fashiongen_256_256_validation.h5"
LABELS = CLASSES  # FashionGen's files: 48 and 121


@registry.register_builder("fashiongen")
class FashionGenBuilder(BaseDatasetBuilder):
    """Splits `train` (a product per item) and `val` (an image per item) from the files in one folder.

    The folder is `build_info.images.storage`: a relative path is below the cache folder, null is
    `<cache>/fashiongen`. With `label`, one of LABELS, items have a "label" (recognition); its classes are the sorted
    values of the training split. Raises UserError for files that are missing or unusable, an unknown label, and a text
    that names it.
    """

    train_dataset_cls = FashionGenDataset
    eval_dataset_cls = FashionGenEvalDataset
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashiongen.yaml")}

    def folder(self) -> Path:
        """Where the two files are. An absolute `storage`, or one with `~`, is taken as it is."""
        return data_folder(self.config.build_info.get(self.data_type).storage, "fashiongen")

    def _download_data(self):
        """FashionGen cannot be downloaded: a missing file is reported when it is opened."""

    def build(self) -> dict:
        self.build_processors()
        train = self.train_dataset_cls(
            self.folder() / TRAIN_FILE,
            self.vis_processors["train"],
            self.text_processors["train"],
            double_view=self.config.get("double_view", False),
        )
        validation = self.eval_dataset_cls(
            self.folder() / VALIDATION_FILE, self.vis_processors["eval"], self.text_processors["eval"]
        )
        if self.config.get("label"):
            self.check_label()
            classnames = sorted(set(train.file.texts[self.config.label]))
            for dataset in (train, validation):
                dataset.set_labels(self.config.label, classnames)
        return {"train": train, "val": validation}

    def check_label(self) -> None:
        label = self.config.label
        if label not in LABELS:
            raise UserError(f"`label` of the data set is {label!r}, but must be {' or '.join(LABELS)}.")
        for split, processor in self.text_processors.items():
            mode = getattr(processor, "mode", None)
            if mode and label in prompt_names(ATTRIBUTES, mode):
                raise UserError(
                    f"`text_processor.{split}.mode` of the data set is {mode}, whose text names the {label} that is "
                    "to be recognised: set it to recognition."
                )


@registry.register_builder("fashiongen_mini")
class FashionGenMiniBuilder(FashionGenBuilder):
    """As FashionGen, from files that are drawn at first use."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashiongen_mini.yaml")}

    def _download_data(self):
        # Imported here: only the process that draws needs the drawing code.
        from fashionfae_lavis.mini.fashiongen import prepare

        prepare(self.folder())

    def build(self) -> dict:
        from fashionfae_lavis.mini.fashiongen import ATTRIBUTE_WORDS
        from fashionfae_lavis.mini.fashiongen.visible import VisibleAttributes

        datasets = super().build()
        for split, dataset in zip(("train", "validation"), datasets.values(), strict=True):
            dataset.attribute_words = ATTRIBUTE_WORDS
            dataset.extra_attributes = VisibleAttributes(split, dataset.product_ids)
            dataset.unseen_attributes = ("gender", "season")
        return datasets
