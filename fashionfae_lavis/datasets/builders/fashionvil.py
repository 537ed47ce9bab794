"""Builders of the four datasets that FashionViL preprocessed for pre-training; see datasets/fashionvil_file.py."""

import os
from pathlib import Path

from lavis.common.registry import registry

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.builders.products import ProductBuilder
from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile
from fashionfae_lavis.datasets.datasets.fashionvil_file import info_path, read_fashionvil


class FashionViLBuilder(ProductBuilder):
    """Builder of `train`, and of `val` and `test` where there are files for them.

    `val` reads val_info.json, or test_info.json where only that exists, as for Fashion200k. `build_info.images.storage`
    is the folder that contains the dataset's folder: a relative path is below the cache folder, null is
    `<cache>/fashionvil`.

    Raises:
        UserError: as in `read_fashionvil`.
    """

    FOLDER: str
    classes_in_paths = False

    def folder(self) -> Path:
        """Returns the folder of the json files."""
        return data_folder(self.config.build_info.get(self.data_type).storage, "fashionvil") / self.FOLDER

    def open_files(self) -> dict[str, CatalogueFile]:
        folder, allow_missing = self.folder(), self.config.get("allow_missing", False)
        splits = ["train", *(split for split in ("val", "test") if os.path.lexists(info_path(folder, split)))]
        files = {split: read_fashionvil(folder, split, self.classes_in_paths, allow_missing) for split in splits}
        if "test" in files:
            files.setdefault("val", files["test"])
        return files


@registry.register_builder("fashionvil_fashiongen")
class FashionViLFashionGenBuilder(FashionViLBuilder):
    """Builder of FashionGen from image files; `fashiongen` builds it from HDF5 files."""

    FOLDER = "FashionGen"
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_fashiongen.yaml")}


@registry.register_builder("fashionvil_facad")
class FashionViLFACADBuilder(FashionViLBuilder):
    """Builder of FACAD, whose products have a colour."""

    FOLDER = "BigFACAD"
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_facad.yaml")}


@registry.register_builder("fashionvil_fashion200k")
class FashionViLFashion200kBuilder(FashionViLBuilder):
    """Builder of Fashion200k, whose only text is a title; the image paths give category and sub category."""

    FOLDER = "Fashion200k"
    classes_in_paths = True
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_fashion200k.yaml")}


@registry.register_builder("fashionvil_polyvore")
class FashionViLPolyvoreBuilder(FashionViLBuilder):
    """Builder of Polyvore Outfits, with one image per product and no attributes in words."""

    FOLDER = "PolyvoreOutfits"
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_polyvore.yaml")}
