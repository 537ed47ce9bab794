"""Embedding of a whole split: the processes of a distributed run share the work, and each has all of it in the end."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from fashionfae_lavis.datasets.loaders import evaluation_loader, share_of_loader
from fashionfae_lavis.distributed import gather_in_order, own_share

BATCH = 64


@torch.no_grad()
def embed_batches(data_loader: DataLoader, embed: Callable[[dict], Tensor]) -> np.ndarray:
    """`embed(batch)` (B, D) over a data loader -> (N, D), in its order."""
    return gather_in_order([_array(embed(samples)) for samples in share_of_loader(data_loader)])


@torch.no_grad()
def embed_text_list(texts: list[str], embed: Callable[[list[str]], Tensor]) -> np.ndarray:
    """`embed(batch of texts)` (B, D) over all texts -> (M, D), in their order."""
    # Texts of similar length share a batch, so that little is padded.
    order = np.argsort([len(text) for text in texts], kind="stable")
    share = own_share(order)
    starts = range(0, len(share), BATCH)
    rows = [_array(embed([texts[i] for i in share[start : start + BATCH]])) for start in starts]
    return gather_in_order(rows)[np.argsort(order)]


def first_images(data_loader: DataLoader, products: np.ndarray) -> DataLoader:
    """A loader like this one over the first image of each of these products (their indices) alone."""
    dataset = data_loader.dataset
    rows = np.unique(dataset.row_product, return_index=True)[1][products]
    first = Subset(dataset, rows.tolist())
    first.collater = dataset.collater
    return evaluation_loader(first, data_loader.batch_size, data_loader.num_workers, data_loader.pin_memory)


def _array(rows: Tensor) -> np.ndarray:
    return rows.float().cpu().numpy()
