"""Comparison of a state dict with the one that a model expects."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

NOT_FINITE = "is NaN or infinite"


def misfits(state: Mapping[str, Any], expected: Mapping[str, Tensor]) -> list[str]:
    """Lists what keeps a state dict from being loaded, a phrase for each tensor.

    Args:
        state: the state dict.
        expected: a state dict with the right names, shapes and kinds of numbers. Their precision may differ.

    >>> misfits({"scale": torch.ones(2)}, {"scale": torch.ones(1), "bias": torch.ones(1)})
    ['bias is missing', 'scale is (2,) instead of (1,)']
    """
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in expected]
    found = ((name, _misfit(state[name], tensor)) for name, tensor in expected.items() if name in state)
    return problems + [f"{name} {problem}" for name, problem in found if problem]


def listed(problems: Iterable[str]) -> str:
    """Joins the first three problems, followed by `...` if there are more."""
    problems = list(problems)
    return ", ".join(problems[:3]) + (", ..." if len(problems) > 3 else "")


def _misfit(value: Any, expected: Tensor) -> str:
    """Describes why a value cannot replace a tensor; empty if it can."""
    if not isinstance(value, Tensor):
        return f"is of type {type(value).__name__} instead of a tensor"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "is not a dense tensor of numbers"
    if value.shape != expected.shape:
        return f"is {tuple(value.shape)} instead of {tuple(expected.shape)}"
    if _kind(value) != _kind(expected):
        return f"holds {value.dtype} instead of {expected.dtype}"
    return "" if not value.is_floating_point() or _is_finite(value) else NOT_FINITE


def _is_finite(value: Tensor) -> bool:
    """Returns whether no number is NaN or infinite; several times faster than `isfinite`, which makes copies."""
    return not value.numel() or all(bool(torch.isfinite(end)) for end in value.aminmax())


def _kind(tensor: Tensor) -> tuple[bool, bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype == torch.bool
