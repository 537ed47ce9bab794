"""Builders of FashionIQ and of FashionIQ-Mini, which is drawn into the same files."""

from pathlib import Path

from lavis.common.registry import registry
from lavis.datasets.builders.base_dataset_builder import BaseDatasetBuilder

from fashionfae_lavis.datasets.builders.cache import CONFIGS, data_folder
from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQDataset, FashionIQEvalDataset


@registry.register_builder("fashioniq")
class FashionIQBuilder(BaseDatasetBuilder):
    """Splits `train` (a request per item) and `val` (an image per item, and requests) from the files in one folder.

    The folder is `build_info.images.storage`: a relative path is below the cache folder, null is
    `<cache>/fashioniq`. FashionIQ's test split has no targets. Raises UserError for files that are missing or unusable.
    """

    train_dataset_cls = FashionIQDataset
    eval_dataset_cls = FashionIQEvalDataset
    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashioniq.yaml")}

    def folder(self) -> Path:
        """Where captions, image_splits and images are."""
        return data_folder(self.config.build_info.get(self.data_type).storage, "fashioniq")

    def _download_data(self):
        """FashionIQ's images are not ours to ship: a missing file is reported when it is looked for."""

    def build(self) -> dict:
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
    """As FashionIQ, from files that are drawn at first use."""

    DATASET_CONFIG_DICT = {"default": str(CONFIGS / "fashioniq_mini.yaml")}

    def _download_data(self):
        # Imported here: only the process that draws needs the drawing code.
        from fashionfae_lavis.mini.fashioniq import prepare

        prepare(self.folder())
