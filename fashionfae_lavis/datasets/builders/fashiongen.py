"""Builders of FashionGen, and of FashionGen-Mini, which is generated in the same file format."""

from pathlib import Path
from typing import Any

from lavis.common.registry import registry

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.builders.products import ProductBuilder
from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES, open_fashiongen
from fashionfae_lavis.datasets.protocols import ProductFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.processors import FashionTextProcessor
from fashionfae_lavis.text.product_text import ATTRIBUTES, CLASSES, prompt_names

TRAIN_FILE, VALIDATION_FILE = FILE_NAMES.values()


@registry.register_builder("fashiongen")
class FashionGenBuilder(ProductBuilder):
    """Builder of `train` and `val` from the two files in one folder, or from their shards.

    The folder is `build_info.images.storage`: a relative path is below the cache folder, null is `<cache>/fashiongen`.
    `label` is category or sub category (48 and 121 classes in FashionGen's files).

    Raises:
        UserError: a file is missing or unusable, the label is unknown, or the text states it.
    """

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashiongen.yaml")}

    def folder(self) -> Path:
        """Returns the folder of the files; an absolute `storage`, or one with `~`, is not below the cache folder."""
        return data_folder(self.config.build_info.get(self.data_type).storage, "fashiongen")

    def open_files(self) -> dict[str, ProductFile]:
        if self.config.get("label"):
            self.check_label(self.config.label)
        return {
            "train": open_fashiongen(self.folder() / TRAIN_FILE),
            "val": open_fashiongen(self.folder() / VALIDATION_FILE),
        }

    def check_label(self, label: str) -> None:
        """Raises UserError for an unknown label, and for a text processor whose text states it."""
        if label not in CLASSES:
            raise UserError(f"`label` of the dataset is {label!r}, but must be {' or '.join(CLASSES)}.")
        for split, processor in self.text_processors.items():
            if isinstance(processor, FashionTextProcessor) and label in prompt_names(ATTRIBUTES, processor.mode):
                raise UserError(
                    f"`text_processor.{split}.mode` of the dataset is {processor.mode}, whose text states the {label} "
                    "to be recognised: set it to recognition."
                )


@registry.register_builder("fashiongen_mini")
class FashionGenMiniBuilder(FashionGenBuilder):
    """Builder of FashionGen-Mini, whose files are generated on first use and read like FashionGen's."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashiongen_mini.yaml")}

    def _download_data(self) -> None:
        # Imported late, because only the process that draws needs the drawing code.
        from fashionfae_lavis.mini.fashiongen import prepare

        prepare(self.folder())

    def options(self, split: str, file: ProductFile) -> dict[str, Any]:
        from fashionfae_lavis.mini.fashiongen import ATTRIBUTE_WORDS
        from fashionfae_lavis.mini.fashiongen.visible import VisibleAttributes

        visible = VisibleAttributes("validation" if split == "val" else split, file.product_ids)
        return {
            "attribute_words": ATTRIBUTE_WORDS,
            "extra_attributes": visible,
            "text_rewriter": visible,
            "unseen_attributes": ("gender", "season"),
        }
