"""The random number generators of one process (python, numpy, torch): save, restore, seed for a while."""

import random
from contextlib import contextmanager

import numpy as np
import torch


def random_state(cuda: bool = False) -> dict:
    """State of all generators, in plain types and tensors that ``torch.load(weights_only=True)`` reads."""
    _, keys, position, has_gauss, gauss = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": [keys.tolist(), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
    }
    if cuda:
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict) -> None:
    """Inverse of :func:`random_state`; a CUDA state is skipped on a machine without CUDA."""
    random.setstate(state["python"])
    keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def seeded(*numbers: int):
    """Run a block with all CPU generators seeded from non-negative ``numbers``; then put them back."""
    before = random_state()
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    # not torch.manual_seed, which would seed the GPU too: every step would then drop out the same units
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        restore_random_state(before)
