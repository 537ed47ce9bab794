"""Kills runs at random moments, resumes them, and compares their final weights with those of an uninterrupted run.

    python benchmarks/kill_runs.py [--kills 60] [--seed 0] [--folder FOLDER]

Each kill draws a signal (SIGKILL, SIGTERM or SIGINT) and a moment: while the program starts, or while it trains. One
run in three has two processes, under torchrun. A run of the tests' tiny model is killed several times, until it ends.
After SIGTERM and SIGINT the script counts the updates that are in the log but not in the checkpoint.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.mini.fashiongen import prepare

TINY = Path(__file__).parents[1] / "tests" / "tiny.yaml"
UPDATES = 150
WAIT = 2.5  # seconds; the latest moment of a kill after the first update of a program
LIMIT = 180  # seconds that a program may take to train its first update, or to stop


@dataclass
class Tally:
    """Counts of one kind of run."""

    kills: Counter = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    traces: int = 0
    runs: int = 0
    identical: int = 0


def write_config(folder: Path) -> None:
    """Draws a small dataset and writes the configuration of the runs."""
    prepare(folder / "data", train_products=40, validation_products=20, image_size=64)
    vis = {split: {"name": f"fashionfae_image_{split}", "resize": 32, "image_size": 32} for split in ("train", "eval")}
    data = {"build_info": {"images": {"storage": str(folder / "data")}}, "vis_processor": vis}
    run = {
        "runner": "fashionfae_runner",
        "task": "fashionfae_pretrain",
        "output_dir": "output",
        "device": "cpu",
        "steps": [{"objectives": ["itc"], "ratio": 1}, {"objectives": ["mlm"], "ratio": 1}],
        "max_iters": UPDATES,
        "iters_per_inner_epoch": 50,
        "log_freq": 1,
        "batch_size_train": 8,
        "batch_size_eval": 16,
        "num_workers": 1,
        "init_lr": 1e-3,
        "lr_sched": "linear_warmup_cosine_iter",
        "train_splits": ["train"],
        "test_splits": [],
        "resume_ckpt_path": "auto",
    }
    model = OmegaConf.load(TINY).model
    config = {"model": model, "datasets": {"fashiongen": data}, "run": run}
    OmegaConf.save(OmegaConf.create(config), folder / "run.yaml")


def start(folder: Path, output: str, processes: int) -> subprocess.Popen:
    """Starts a program in a process group of its own, as a terminal does."""
    launcher = ["-m", "lavis.train"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *launcher]
    command = [sys.executable, "-W", "ignore", *launcher, "--cfg-path", "run.yaml", "--options"]
    return subprocess.Popen(
        [*command, f"run.output_dir={output}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=open(folder / f"{output}.log", "w"),  # noqa: SIM115 (of the program)
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def done(folder: Path, output: str) -> tuple[int, int]:
    """Returns the number of updates in the log and in the last checkpoint of a run, 0 without any."""
    logged = saved = 0
    for log in (folder / output).glob("*/metrics.jsonl"):
        lines = log.read_text().splitlines(keepends=True)
        logged = max((json.loads(line)["iteration"] for line in lines if line.endswith("\n")), default=0)
    for checkpoint in (folder / output).glob("*/checkpoint_last.pth"):
        saved = read_checkpoint(checkpoint)["iters"]
    return logged, saved


def kill_once(folder: Path, output: str, processes: int, rng: random.Random, tally: Tally) -> bool:
    """Starts or resumes a run and kills it at a random moment; returns whether it had ended before."""
    before, _ = done(folder, output)
    written = log_time(folder, output)
    process = start(folder, output, processes)
    deadline = time.monotonic() + LIMIT
    if rng.random() < 0.2:  # while it starts
        time.sleep(rng.uniform(0, 8))
    else:
        while process.poll() is None and done_lines(folder, output) <= before:
            assert time.monotonic() < deadline, (folder / f"{output}.log").read_text()
            time.sleep(0.02)
        time.sleep(rng.uniform(0, WAIT))
    number = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    if process.poll() is not None:
        assert process.returncode == 0, (folder / f"{output}.log").read_text()
        return True
    for pid in (process.pid, *(descendants(process.pid) if number == signal.SIGKILL else ())):
        with suppress(ProcessLookupError):
            os.kill(pid, number)  # torchrun passes the other signals on
    process.wait(timeout=LIMIT)
    tally.kills[number.name] += 1
    if number != signal.SIGKILL:
        tally.statuses[process.returncode] += 1
        logged, saved = done(folder, output)
        trained = log_time(folder, output) != written  # else the log is as an earlier SIGKILL left it
        tally.lost.append(logged - saved if trained else 0)
        own = (folder / f"{output}.log").read_text().partition("torch/distributed/")[0]  # torchrun prints a trace
        tally.traces += processes == 1 and "Traceback" in own
    return False


def descendants(pid: int) -> list[int]:
    """Lists the processes that a process and its descendants have started (Linux)."""
    found = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def log_time(folder: Path, output: str) -> int:
    """Returns when the log of a run was written to last, 0 without one."""
    return max((log.stat().st_mtime_ns for log in (folder / output).glob("*/metrics.jsonl")), default=0)


def done_lines(folder: Path, output: str) -> int:
    """Returns the number of updates in the log of a run."""
    logs = list((folder / output).glob("*/metrics.jsonl"))
    return max((log.read_text().count('"phase": "train"') for log in logs), default=0)


def weights(folder: Path, output: str) -> dict[str, torch.Tensor]:
    """Returns the final weights of a run, which must have one folder."""
    (path,) = (folder / output).glob("*/checkpoint_last.pth")
    state = read_checkpoint(path)
    assert state["iters"] == UPDATES
    return state["model"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--processes", type=int, choices=[1, 2], help="only runs with so many processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder, rng = options.folder or Path(tempfile.mkdtemp()), random.Random(options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder)
    tallies, whole, started = {1: Tally(), 2: Tally()}, {}, time.monotonic()
    for number in range(options.kills):
        if sum(sum(tally.kills.values()) for tally in tallies.values()) >= options.kills:
            break
        processes = options.processes or (2 if number % 3 == 2 else 1)
        tally, output = tallies[processes], f"killed{number}"
        if processes not in whole:
            assert start(folder, f"whole{processes}", processes).wait() == 0
            whole[processes] = weights(folder, f"whole{processes}")
        ended = False
        while not ended and sum(sum(tally.kills.values()) for tally in tallies.values()) < options.kills:
            ended = kill_once(folder, output, processes, rng, tally)
        if not ended:
            assert start(folder, output, processes).wait() == 0, (folder / f"{output}.log").read_text()
        found = weights(folder, output)
        tally.runs += 1
        tally.identical += all(torch.equal(whole[processes][name], found[name]) for name in whole[processes])
        print(f"run {number}: {sum(tally.kills.values())} kills with {processes} process(es)", flush=True)
    print(
        "\n| processes | kills | runs | identical to the uninterrupted run | most updates lost on TERM, INT | traces |"
    )
    print("|---:|---|---:|---:|---:|---:|")
    for processes, tally in tallies.items():
        kills = ", ".join(f"{count} {name}" for name, count in sorted(tally.kills.items()))
        most = max(tally.lost, default=0)
        print(f"| {processes} | {kills} | {tally.runs} | {tally.identical} | {most} | {tally.traces} |")
    print(f"\nexit statuses after TERM and INT: {dict(tallies[1].statuses + tallies[2].statuses)}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
