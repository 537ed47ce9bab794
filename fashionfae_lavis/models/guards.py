"""Guards against the configuration in a checkpoint, which may be damaged or made to do harm."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fashionfae_lavis.errors import UserError

SPARE = 10_000_000  # numbers that a build may create in addition to four times the checkpoint's
LEAST = 10_000  # numbers that any tensor counts for, because creating a small one takes time too


def model_section(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `model` section of a checkpoint's configuration, empty if it has none."""
    section: dict[str, Any] = (content.get("config") or {}).get("model", {})
    return section


@contextmanager
def configuration_of(path: str) -> Iterator[None]:
    """Turns any error in reading or building from a checkpoint's configuration into one sentence.

    Raises:
        UserError: the block raised an exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the classes of LAVIS, timm and transformers raise whatever a wrong size leads to
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"The model of {path} cannot be built from its configuration ({reason}): the file was changed, or comes "
            "from another version; use another checkpoint, or correct the `model` section."
        ) from error


class SizeLimit(TorchDispatchMode):
    """Refuses to create tensors far larger than the weights they are created for.

    Without it, a width of a billion in a checkpoint's configuration would fill the memory before the weights are
    compared.

    Args:
        state: the checkpoint's weights.
        path: the checkpoint, for the error.

    Raises:
        UserError: the limit is reached.
    """

    def __init__(self, state: Mapping[str, Tensor], path: str):
        super().__init__()
        self.left, self.path = SPARE + 4 * sum(tensor.numel() for tensor in state.values()), path

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if not any(isinstance(arg, Tensor) for arg in args):  # the operation creates a tensor
            sizes = [prod(arg) if isinstance(arg, list | tuple) else arg for arg in args]
            wanted = max((int(size) for size in sizes if isinstance(size, int | float)), default=0)
            self.left -= max(wanted, LEAST)
            if self.left < 0:
                raise UserError(
                    f"{self.path} holds the configuration of a model far larger than its weights: the file was "
                    "changed; use another checkpoint."
                )
        return func(*args, **(kwargs or {}))
