"""Builders of the four data sets that FashionViL preprocessed for pre-training; see datasets/fashionvil_file.py."""

from pathlib import Path

from lavis.common.registry import registry
from lavis.datasets.builders.base_dataset_builder import BaseDatasetBuilder

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.datasets.fashionvil_file import info_path, read_fashionvil
from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset


class FashionViLBuilder(BaseDatasetBuilder):
    """Splits `train` (a product per item), and `val` and `test` (an image per item) where there are files for them.

    `val` is val_info.json, or test_info.json where only that exists, as of Fashion200k. `build_info.images.storage` is
    the folder that holds those of the data sets: a relative path is below the cache folder, null is
    `<cache>/fashionvil`. Raises UserError as `read_fashionvil` does.
    """

    FOLDER: str
    classes_in_paths = False
    train_dataset_cls = ProductDataset
    eval_dataset_cls = ProductEvalDataset

    def folder(self) -> Path:
        """Where the json files are."""
        return data_folder(self.config.build_info.get(self.data_type).storage, "fashionvil") / self.FOLDER

    def _download_data(self):
        """The owners of the data sets give out the images: a missing file is reported when it is looked for."""

    def read(self, split: str):
        return read_fashionvil(
            self.folder(), split, self.classes_in_paths, allow_missing=self.config.get("allow_missing", False)
        )

    def build(self) -> dict:
        self.build_processors()
        train = self.train_dataset_cls(
            self.read("train"),
            self.vis_processors["train"],
            self.text_processors["train"],
            double_view=self.config.get("double_view", False),
        )
        evaluated = {
            split: self.eval_dataset_cls(self.read(split), self.vis_processors["eval"], self.text_processors["eval"])
            for split in ("val", "test")
            if info_path(self.folder(), split).exists()
        }
        if "test" in evaluated:
            evaluated.setdefault("val", evaluated["test"])
        return {"train": train, **evaluated}


@registry.register_builder("fashionvil_fashiongen")
class FashionViLFashionGenBuilder(FashionViLBuilder):
    """FashionGen, beside the builder of its HDF5 files: here images are files."""

    FOLDER = "FashionGen"
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_fashiongen.yaml")}


@registry.register_builder("fashionvil_facad")
class FashionViLFACADBuilder(FashionViLBuilder):
    """FACAD, whose products have a colour."""

    FOLDER = "BigFACAD"
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_facad.yaml")}


@registry.register_builder("fashionvil_fashion200k")
class FashionViLFashion200kBuilder(FashionViLBuilder):
    """Fashion200k, whose only text is a title; the paths of its images tell category and sub category."""

    FOLDER = "Fashion200k"
    classes_in_paths = True
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_fashion200k.yaml")}


@registry.register_builder("fashionvil_polyvore")
class FashionViLPolyvoreBuilder(FashionViLBuilder):
    """Polyvore Outfits, an image per product, without attributes in words."""

    FOLDER = "PolyvoreOutfits"
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashionvil_polyvore.yaml")}
