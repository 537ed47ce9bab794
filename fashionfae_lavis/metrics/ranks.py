"""Ranks by dot product, in chunks of queries. Of equal scores the wrong candidates count first."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from fashionfae_lavis.errors import UserError


def best_ranks(
    query: torch.Tensor,
    candidate: torch.Tensor,
    query_id: torch.Tensor,
    candidate_id: torch.Tensor,
    chunk: int,
) -> np.ndarray:
    """Rank of each query's best candidate with its id: 1 + how many others score at least as much.

    Args:
        query, candidate: embeddings (N, D) and (M, D).
        query_id, candidate_id: (N,) and (M,).
        chunk: queries at a time; memory is O(chunk x M).

    Returns:
        (N,) int64; the largest number there is for a query without a candidate of its id.
    """
    ranks = []
    for part, part_id in zip(query.split(chunk), query_id.split(chunk), strict=True):
        scores = part @ candidate.T
        right = part_id[:, None] == candidate_id
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        rank = 1 + ((scores >= best) & ~right).sum(1)
        ranks.append(torch.where(right.any(1), rank, torch.iinfo(rank.dtype).max).cpu())
    return torch.cat(ranks).numpy()


def finite(embeds: ArrayLike, name: str) -> torch.Tensor:
    """The embeddings (N, D) as float32. Raises UserError if one is NaN or infinite, ValueError for another shape."""
    embeds = torch.as_tensor(embeds).float()
    if embeds.ndim != 2 or len(embeds) == 0:
        raise ValueError(f"{name} embeddings must be of shape (N, D) with N > 0, not {tuple(embeds.shape)}")
    if not torch.isfinite(embeds).all():
        raise UserError(f"{name} embeddings are not finite: the model has diverged, use an earlier checkpoint")
    return embeds


def per_row(ids: ArrayLike, embeds: torch.Tensor) -> torch.Tensor:
    """The ids (N,) beside embeddings (N, D). Raises ValueError for another length."""
    ids = torch.as_tensor(ids, device=embeds.device)
    if ids.shape != embeds.shape[:1]:
        raise ValueError(f"{len(embeds)} embeddings with ids of shape {tuple(ids.shape)}")
    return ids
