"""Starts runs at the same time in one output folder, and compares each with the same run alone.

    python benchmarks/concurrent_runs.py [--runs 10] [--folder FOLDER]

The runs differ in their seeds. Each must have a folder and a checkpoint of its own, with the weights of the run alone.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from kill_runs import write_config
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint


def start(folder: Path, output: str, seed: int) -> subprocess.Popen:
    """Starts a run."""
    command = [sys.executable, "-W", "ignore", "-m", "lavis.train", "--cfg-path", "run.yaml", "--options"]
    options = [f"run.output_dir={output}", f"run.seed={seed}", "run.max_iters=10", "run.num_workers=0"]
    log = open(folder / f"{output}-{seed}.log", "w")  # noqa: SIM115 (of the program)
    return subprocess.Popen([*command, *options], cwd=folder, stdout=log, stderr=log)


def weights_by_seed(folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """Reads the final weights of all runs in an output folder."""
    found = {}
    for run in sorted(folder.iterdir()):
        seed = OmegaConf.load(run / "config.yaml").run.seed
        state = read_checkpoint(run / "checkpoint_last.pth")
        assert state["config"]["run"]["seed"] == seed and state["iters"] == 10
        assert not list(run.glob("*.tmp"))
        found[seed] = state["model"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder)
    runs = [start(folder, "together", seed) for seed in range(options.runs)]
    statuses = [run.wait() for run in runs]
    print("exit statuses:", statuses)
    alone = [start(folder, "alone", seed).wait() for seed in range(options.runs)]
    assert not any([*statuses, *alone]), folder
    together, apart = weights_by_seed(folder / "together"), weights_by_seed(folder / "alone")
    folders = len(list((folder / "together").iterdir()))
    same = sum(all(torch.equal(apart[seed][name], found[name]) for name in found) for seed, found in together.items())
    print(f"{options.runs} runs started at once: {folders} folders, {same} checkpoints equal those of the runs alone")


if __name__ == "__main__":
    main()
