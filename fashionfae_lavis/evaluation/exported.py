"""Measures exported towers on products: their recall, and how far they agree with the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lavis.common.registry import registry
from lavis.datasets.builders import load_dataset_config
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.builders.products import ProductBuilder
from fashionfae_lavis.datasets.datasets.catalogue_file import NAME
from fashionfae_lavis.datasets.loaders import evaluation_loader
from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.embedding import BATCH, embed_batches, embed_texts
from fashionfae_lavis.evaluation.retrieval import WHOLE
from fashionfae_lavis.metrics.retrieval import full_ranks, recalls
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.models.onnx_towers import OnnxTowers, Parity, parity
from fashionfae_lavis.text.product_text import fashion_text


@dataclass(frozen=True)
class Measured:
    """Retrieval by one pair of towers.

    Attributes:
        recalls: the recalls of `metrics.retrieval.recalls`, in percent.
        parity: agreement with the model that was exported.
    """

    recalls: Mapping[str, float]
    parity: Parity


def products_of(name: str, processing: Mapping[str, Mapping[str, Any]]) -> tuple[str, DataLoader[Any]]:
    """Opens the products to measure on: the test split of a dataset or, without one, its validation split.

    Args:
        name: folder of a prepared catalogue, or a dataset such as fashiongen_mini.
        processing: `vis_processor` of the model.

    Returns:
        The split's name and a loader of its images.

    Raises:
        UserError: there is no such dataset, or it has neither split.
    """
    is_catalogue = (Path(name) / NAME).exists()
    builder_class = registry.get_builder_class("catalogue" if is_catalogue else name)
    if builder_class is None or not issubclass(builder_class, ProductBuilder):
        raise UserError(
            f"{name} is neither a folder with {NAME} nor a dataset of products: prepare a catalogue, or name a dataset."
        )
    config = load_dataset_config(builder_class.default_config_path())
    config.vis_processor.eval = dict(processing["vis_processor"]["eval"])
    if is_catalogue:
        config.root = name
    splits = builder_class(config).build_datasets()
    split = next((split for split in ("test", "val") if split in splits), None)
    if split is None:
        raise UserError(f"{name} has no products in `test` or `val` to measure on: name other products.")
    return split, evaluation_loader(splits[split], BATCH, 0, pin=False)


def measure_towers(
    adapter: Adapter, towers: Mapping[str, OnnxTowers], data_loader: DataLoader[Any]
) -> dict[str, Measured]:
    """Measures the full test of retrieval, by the whole text (description and attributes), for model and towers.

    Args:
        adapter: adapter of the model, under "PyTorch" in the result.
        towers: name -> towers exported from the model.
        data_loader: the images of a `ProductSplit`, one item per image, processed for the model.
    """
    split = cast(ProductSplit, data_loader.dataset)
    texts = [fashion_text(split.product_fields(i), WHOLE) for i in range(len(split.product_ids))]

    def embed(samples: dict[str, Any]) -> Tensor:
        images = samples["image"].numpy()
        rows = [torch.from_numpy(tower.embed_images(images)) for tower in towers.values()]
        return torch.cat([adapter.embed_images(samples["image"]).cpu(), *rows], dim=1)

    images = np.split(embed_batches(data_loader, embed), 1 + len(towers), axis=1)
    written = [embed_texts(adapter, texts)]
    for tower in towers.values():
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        written.append(np.concatenate([tower.embed_texts(batch) for batch in batches]))
    sides = split.row_product, np.arange(len(texts))
    systems = dict(zip(("PyTorch", *towers), zip(images, written, strict=True), strict=True))
    return {
        name: Measured(recalls(*full_ranks(*embeds, *sides)), parity(systems["PyTorch"], embeds))
        for name, embeds in systems.items()
    }
