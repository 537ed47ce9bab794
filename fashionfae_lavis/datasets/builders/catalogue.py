"""Builders of a catalogue that `fashionfae prepare catalogue` made from a table and a folder of images."""

import os
from pathlib import Path

from lavis.common.registry import registry

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder, with_home
from fashionfae_lavis.datasets.builders.products import ProductBuilder
from fashionfae_lavis.datasets.datasets.catalogue_file import (
    NAME,
    CatalogueFile,
    how_to_make,
    read_catalogue,
    read_head,
)
from fashionfae_lavis.datasets.datasets.catalogue_shards import CatalogueShards
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import ENOUGH
from fashionfae_lavis.text.everyday import is_colour

PHOTOGRAPHS = "fashionfae_photograph_train"
COLOUR_JITTER = 0.1


def find_catalogue(root: str) -> Path | None:
    """Returns the folder of the catalogue that a dataset's `root` names, or None if there is none."""
    folders = (with_home(root), data_folder(root, root))
    return next((folder for folder in folders if os.path.isfile(folder / NAME)), None)


@registry.register_builder("catalogue")
class CatalogueBuilder(ProductBuilder):
    """Builder of those of `train`, `val` and `test` that the catalogue has.

    `root` is the catalogue's folder, relative to the working directory or, if it does not exist there, to the cache
    folder. `label` may name any attribute; products without a value of it are left out. `storage` names the folder of
    shards that training images are read from, in the same way as `root`.

    Raises:
        UserError: the catalogue is missing or damaged, has no products, or lacks the attribute, or the shards are
            damaged or of another catalogue.
    """

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "catalogue.yaml")}

    def folder(self) -> Path:
        """Returns the folder of the catalogue."""
        root = self.config.get("root")
        if not root:
            raise UserError("`root` of the dataset is not set: set it to the folder that `fashionfae prepare` wrote.")
        here, cached = with_home(root), data_folder(root, root)
        if not os.path.exists(here) and here != cached and not os.path.exists(cached):
            raise UserError(
                f"`root` of the dataset: there is neither {Path.cwd() / here} nor {cached}: {how_to_make(root)}."
            )
        return here if os.path.exists(here) else cached

    def build_processors(self) -> None:
        """Builds the processors; colours of training photographs change unless colour is an attribute."""
        train = self.config.vis_processor.train
        if train.get("name") == PHOTOGRAPHS and train.get("colour_jitter") is None:
            train.colour_jitter = 0.0 if any(map(is_colour, read_head(self.folder())["attributes"])) else COLOUR_JITTER
        super().build_processors()

    def open_files(self) -> dict[str, CatalogueFile | CatalogueShards]:
        files = read_catalogue(self.folder(), needs=self.config.get("label"))
        if not files:
            raise UserError(
                f"{self.folder()} has no product to use: set `label` of the dataset to an attribute that products "
                "have, or prepare a catalogue with products."
            )
        if "train" in files:
            files["train"].enough = getattr(self.vis_processors["train"], "enough", ENOUGH)
        storage = self.config.get("storage")
        if not storage:
            return {**files}
        here = with_home(storage)
        shards = here if os.path.exists(here) else data_folder(storage, storage)
        return {**files, "train": CatalogueShards(files["train"], shards)}


@registry.register_builder("catalogue_retrieval")
class CatalogueRetrievalBuilder(CatalogueBuilder):
    """Builder of a catalogue for retrieval fine-tuning; training texts list the attributes in random order."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "catalogue_retrieval.yaml")}


@registry.register_builder("catalogue_recognition")
class CatalogueRecognitionBuilder(CatalogueBuilder):
    """Builder of a catalogue for recognition of an attribute, by default the category."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "catalogue_recognition.yaml")}
