"""FashionGen as LAVIS data sets."""

from pathlib import Path

from fashionfae_lavis.datasets.datasets.fashiongen_file import open_fashiongen
from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset


class FashionGenDataset(ProductDataset):
    """The products of one file, or of its shards. Raises UserError as `open_fashiongen` does."""

    def __init__(self, path: str | Path, vis_processor, text_processor, double_view: bool = False):
        super().__init__(open_fashiongen(path), vis_processor, text_processor, double_view)

    @property
    def decode_fallbacks(self) -> int:
        return self.file.decode_fallbacks


class FashionGenEvalDataset(ProductEvalDataset):
    """The images of one file, or of its shards. Raises UserError as `open_fashiongen` does."""

    def __init__(self, path: str | Path, vis_processor, text_processor):
        super().__init__(open_fashiongen(path), vis_processor, text_processor)
