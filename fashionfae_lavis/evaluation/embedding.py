"""Embedding of a whole split. The processes of a distributed run share the work, and each process gets all rows."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.loaders import loader_of_rows, share_of_loader
from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.distributed import gather_in_order, own_share
from fashionfae_lavis.models.adapters import Adapter

BATCH = 64


def embed_images(adapter: Adapter, data_loader: DataLoader[Any]) -> NDArray[np.float32]:
    """Embeds every image of a data loader as unit-length embeddings (N, D), in the loader's order."""
    return embed_batches(data_loader, lambda samples: adapter.embed_images(samples["image"]))


def embed_texts(adapter: Adapter, texts: list[str]) -> NDArray[np.float32]:
    """Embeds M texts as unit-length embeddings (M, D)."""
    return embed_text_list(texts, adapter.embed_texts)


@torch.no_grad()
def embed_batches(data_loader: DataLoader[Any], embed: Callable[[dict[str, Any]], Tensor]) -> NDArray[np.float32]:
    """Applies `embed` (batch to (B, D)) to every batch of a data loader; returns (N, D) in the loader's order."""
    return gather_in_order([_array(embed(samples)) for samples in share_of_loader(data_loader)])


@torch.no_grad()
def embed_text_list(texts: list[str], embed: Callable[[list[str]], Tensor]) -> NDArray[np.float32]:
    """Applies `embed` (B texts to (B, D)) to all M texts; returns (M, D) in their order."""
    # Batch texts of similar length to avoid padding.
    order = np.argsort([len(text) for text in texts], kind="stable")
    share = own_share(order.tolist())
    starts = range(0, len(share), BATCH)
    rows = [_array(embed([texts[i] for i in share[start : start + BATCH]])) for start in starts]
    return gather_in_order(rows)[np.argsort(order)]


def spread_products(split: ProductSplit, limit: int) -> NDArray[np.int64]:
    """Returns the indices of up to `limit` products, evenly spread over the split."""
    return np.linspace(0, len(split.product_ids) - 1, min(limit, len(split.product_ids))).astype(int)


def first_rows(split: ProductSplit) -> NDArray[np.int64]:
    """Returns the row (P,) of each product's first image."""
    rows: NDArray[np.int64] = np.unique(split.row_product, return_index=True)[1]
    return rows


def first_images(data_loader: DataLoader[Any], products: Sequence[int]) -> DataLoader[Any]:
    """Returns a loader like this one over the first image of each product index."""
    rows = first_rows(cast(ProductSplit, data_loader.dataset))
    return loader_of_rows(data_loader, [int(rows[product]) for product in products])


def _array(rows: Tensor) -> NDArray[np.float32]:
    return rows.float().cpu().numpy()
