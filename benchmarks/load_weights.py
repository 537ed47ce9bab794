"""Cost of checking weights for damage when they are loaded: ms per GB, and its share of the load time.

python benchmarks/load_weights.py [megabytes]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from fashionfae_lavis import checkpoints

REPEATS = 5


def seconds(load: Callable[[], object]) -> float:
    """Returns the shortest of several runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        load()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    state = {str(number): torch.randn(1 << 18) for number in range(megabytes)}  # 1 MB each
    model = torch.nn.ParameterDict({name: torch.zeros_like(tensor) for name, tensor in state.items()})
    print("| file | load, ms per GB | of it the check | share |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".pth", ".safetensors"):
            path = Path(folder) / f"weights{suffix}"
            if suffix == ".pth":
                checkpoints.save_atomically({"model": state}, path)
            else:
                checkpoints.save_safetensors(state, {}, path)

            def load(path: Path = path) -> None:
                model.load_state_dict(checkpoints.read_checkpoint(path)["model"])

            checked = seconds(load)
            with (
                mock.patch.object(checkpoints, "damaged_member", lambda path: None),
                mock.patch.object(checkpoints, "digest", lambda tensors, metadata: metadata[checkpoints.DIGEST]),
            ):
                unchecked = seconds(load)
            scale, check = 1000 * 1024 / megabytes, checked - unchecked
            print(f"| `{suffix}` | {scale * checked:.0f} | {scale * check:.0f} | {100 * check / checked:.0f} % |")


if __name__ == "__main__":
    main()
