"""State and seeding of the random number generators of one process (python, numpy, torch)."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state(cuda: bool = False) -> dict[str, Any]:
    """Returns the state of all generators, in types that `torch.load(weights_only=True)` reads.

    Args:
        cuda: whether to include the generator of the current GPU.
    """
    numpy_state: Any = np.random.get_state()
    _, keys, position, has_gauss, gauss = numpy_state
    state = {
        "python": random.getstate(),
        "numpy": [keys.tolist(), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
    }
    if cuda:
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Restores the output of `random_state`; ignores the GPU's state on a machine without a GPU."""
    random.setstate(state["python"])
    keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def preserved() -> Iterator[None]:
    """Restores all CPU generators after a `with` block."""
    # Unlike `random_state`, this converts nothing, because it runs for every training batch.
    python, in_numpy, in_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(in_numpy)
        torch.set_rng_state(in_torch)


def seed_generators(*numbers: int) -> None:
    """Seeds all CPU generators from non-negative numbers."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed would also seed the GPU, and every step would then drop the same units.
    torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seeds all CPU generators from non-negative numbers within a `with` block, then restores them."""
    with preserved():
        seed_generators(*numbers)
        yield
