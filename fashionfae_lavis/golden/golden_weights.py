"""Weights and images generated from names and a seed, so that two implementations compute with the same numbers.

The manifest lists every key of the authors' state dicts with its shape and the rule for its values.
"""

import json
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fashionfae_lavis.errors import UserError

MANIFEST = Path(__file__).with_name("authors_manifest.json")
KEPT = {4.0: lambda shape: torch.full(shape, 4.0), "arange(512)[None]": lambda shape: torch.arange(shape[1])[None]}


def read_manifest(path: str | Path = MANIFEST) -> dict[str, Any]:
    """Reads the manifest: `keys` (name -> shape, rule, models, ...) and `grad_keys`, the trainable keys in order.

    Raises:
        UserError: the file cannot be read or is not a manifest.
    """
    try:
        manifest = json.loads(Path(path).read_text())
        if manifest["keys"] and manifest["grad_keys"]:
            return manifest
        raise KeyError("keys")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a manifest of the authors' keys.") from error


def normal(name: str, shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Draws standard normal numbers that depend only on the name and the seed."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) + seed))
    return generator.standard_normal(tuple(shape)).astype(np.float32)


def golden_weights(manifest: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """Generates the values of every key in the manifest.

    Raises:
        UserError: the numbers do not match the sums in the manifest, which has sums for seed 0.
    """
    weights: dict[str, Tensor] = {}
    for key, facts in manifest["keys"].items():
        if facts["rule"] == "keep":
            weights[key] = KEPT[facts["value"]](tuple(facts["shape"]))
        elif facts["rule"] != "alias":
            weights[key] = torch.from_numpy(_filled(key, facts, seed))
            known = facts.get("seed0_sum")
            if seed == 0 and known is not None:
                total = float(weights[key].sum(dtype=torch.float64))
                if abs(total - known) > 1e-9 * max(1.0, abs(known)):
                    raise UserError(
                        f"The random generator differs: the numbers of {key} sum to {total}, not to {known}."
                    )
    for key, facts in manifest["keys"].items():
        if facts["rule"] == "alias":
            weights[key] = weights[facts["alias_of"]]
    return weights


def weights_of(weights: dict[str, Tensor], manifest: dict[str, Any], model: str) -> dict[str, Tensor]:
    """Returns the state dict of an authors' model: pretraining, contrastive, composition or classification."""
    return {key: weights[key] for key, facts in manifest["keys"].items() if model in facts["models"]}


def golden_images(tag: str, batch: int, seed: int) -> NDArray[np.float32]:
    """Generates images (batch, 3, 224, 224): coarse noise of 7 x 7 squares plus fine noise."""
    coarse = normal(f"{tag}.coarse", (batch, 3, 7, 7), seed)
    fine = normal(f"{tag}.fine", (batch, 3, 224, 224), seed)
    return np.clip(coarse.repeat(32, axis=2).repeat(32, axis=3) + np.float32(0.5) * fine, -3, 3)


def _filled(key: str, facts: dict[str, Any], seed: int) -> NDArray[np.float32]:
    n = normal(key, facts["shape"], seed)
    if facts["rule"] == "norm_weight":
        return np.float32(1) + np.float32(0.02) * n
    if facts["rule"] == "fan_in":
        # Multiply, do not divide: the last bit affects the sums, and codes near a tie.
        return np.float32(1 / math.sqrt(math.prod(facts["shape"][1:]))) * n
    return np.float32(0.02) * n
