"""Evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode within a `with` block."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
