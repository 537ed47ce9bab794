"""Builders of FashionIQ, and of FashionIQ-Mini, which is generated in the same file format."""

from pathlib import Path

from lavis.common.registry import registry
from lavis.datasets.builders.base_dataset_builder import BaseDatasetBuilder

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQDataset, FashionIQEvalDataset


@registry.register_builder("fashioniq")
class FashionIQBuilder(BaseDatasetBuilder):
    """Builder of `train` (one item per request) and `val` (one item per image, and the requests) from one folder.

    The folder is `build_info.images.storage`: a relative path is below the cache folder, null is `<cache>/fashioniq`.
    FashionIQ's test split has no targets, so it is not read.

    Raises:
        UserError: a file is missing or unusable.
    """

    train_dataset_cls = FashionIQDataset
    eval_dataset_cls = FashionIQEvalDataset
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashioniq.yaml")}

    def folder(self) -> Path:
        """Returns the folder that contains captions, image_splits and images."""
        return data_folder(self.config.build_info.get(self.data_type).storage, "fashioniq")

    def _download_data(self) -> None:
        """Downloads nothing: FashionIQ's images cannot be redistributed, and `build` reports a missing file."""

    def build(self) -> dict[str, FashionIQDataset | FashionIQEvalDataset]:
        self.build_processors()
        return {
            split: dataset_class(
                self.folder(),
                split,
                self.vis_processors[processors],
                self.text_processors[processors],
                allow_missing=self.config.get("allow_missing", False),
            )
            for split, processors, dataset_class in (
                ("train", "train", self.train_dataset_cls),
                ("val", "eval", self.eval_dataset_cls),
            )
        }


@registry.register_builder("fashioniq_mini")
class FashionIQMiniBuilder(FashionIQBuilder):
    """Builder of FashionIQ-Mini, whose files are generated on first use and read like FashionIQ's."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashioniq_mini.yaml")}

    def _download_data(self) -> None:
        # Imported late, because only the process that draws needs the drawing code.
        from fashionfae_lavis.mini.fashioniq import prepare

        prepare(self.folder())
