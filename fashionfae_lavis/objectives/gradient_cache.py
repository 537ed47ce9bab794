"""Gradient caching (GradCache, Gao et al., arXiv 2101.06983): contrastive batches larger than the memory.

    1. compute the embeddings of each chunk, without storing activations
    2. compute the loss of all embeddings, and its gradient with respect to each embedding
    3. compute each chunk again, under its first random state, and back-propagate its share of that gradient

torch's checkpoints do 1 and 3 if each chunk is one checkpoint. The graph stays one graph, so DDP synchronises once.

>>> import torch
>>> weight = torch.ones(2, requires_grad=True)
>>> in_chunks(lambda rows: rows * weight, 2, torch.arange(6.0).view(3, 2)).sum().backward()
>>> weight.grad
tensor([6., 9.])
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(function: Callable[..., Tensor], size: int, *inputs: Tensor) -> Tensor:
    """Applies a function to chunks of rows, one after the other, and stores no activation for the backward pass.

    A single chunk, or a call without gradients, is applied as it is.

    Args:
        function: maps the rows of the inputs to as many rows. It must not mix rows.
        size: rows in a chunk.
        inputs: tensors of N rows.

    Returns:
        The N rows.
    """
    if len(inputs[0]) <= size or not torch.is_grad_enabled():
        return function(*inputs)
    device = inputs[0].device.type
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    # With autocast's cache, all chunks would share one cast weight, and its gradient would be summed in 16 bits.
    with torch.autocast(device, dtype, enabled, cache_enabled=False):
        chunks = ([rows[i : i + size] for rows in inputs] for i in range(0, len(inputs[0]), size))
        return torch.cat([checkpoint(function, *chunk, use_reentrant=False) for chunk in chunks])
