"""Measures how the settings of torch's threads change the speed of the main job, alone and beside a busy process.

    python benchmarks/threads.py [--updates 40] [--repeats 3]

Trains projects/fashionfae/pretrain.yaml for a few updates, every time in a new process, because OpenMP reads its
settings when torch is loaded:

    spinning    OpenMP's default: a waiting thread spins for some milliseconds before it sleeps
    sleeping    `OMP_WAIT_POLICY=passive`
    adapting    this package's default: spins, and sleeps while other programs are busy
    one thread  `OMP_NUM_THREADS=1`

"beside one" means that another process computes without a pause, in a session of its own as other programs, because
Linux may share the processor equally among sessions. The settings take turns, so that a change in the machine's load
affects all of them. Shows updates per second (median, lowest and highest) and ratios to `spinning`.
Both count the time of updates and data loading, without the start of the program and checkpoints.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SETTINGS = {
    "spinning": {"GOMP_SPINCOUNT": "300000"},  # libgomp's own value where nothing is set
    "sleeping": {"OMP_WAIT_POLICY": "passive"},
    "adapting": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
NEIGHBOURS = {"alone": 0, "beside one": 1}


def updates_per_second(settings: dict[str, str], updates: int) -> float:
    """Trains in a new process with these environment variables added to OpenMP's defaults."""
    from fashionfae_lavis.checkpoints import read_checkpoint
    from fashionfae_lavis.threads import WAITING

    inherited = {name: value for name, value in os.environ.items() if name not in (*WAITING, "OMP_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        options = [f"run.max_iters={updates}", f"run.iters_per_inner_epoch={updates}", "run.test_splits=[]"]
        command = [sys.executable, "-W", "ignore", "-m", "lavis.train"]
        command += ["--cfg-path", "projects/fashionfae/pretrain.yaml"]
        command += ["--options", f"run.output_dir={folder}", *options]
        done = subprocess.run(command, env=inherited | settings, cwd=Path(__file__).parents[1], capture_output=True)
        if done.returncode:
            sys.exit(done.stderr.decode()[-2000:])
        (checkpoint,) = Path(folder).glob("*/checkpoint_last.pth")
        return updates / read_checkpoint(checkpoint)["seconds"]


def beside(neighbours: int, settings: dict[str, str], updates: int) -> float:
    """Measures while `neighbours` other processes are busy."""
    # It ends with this process, however that ends.
    compute = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10**5))"
    command = [sys.executable, "-S", "-c", compute]
    busy = [subprocess.Popen(command, start_new_session=True) for _ in range(neighbours)]
    try:
        return updates_per_second(settings, updates)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=40, help="updates of a measurement (default 40)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each case (default 3)")
    args = parser.parse_args()
    updates_per_second({}, 1)  # draws the data
    rates = defaultdict(list)
    for _ in range(args.repeats):
        for place, neighbours in NEIGHBOURS.items():
            for name, settings in SETTINGS.items():
                rates[place, name].append(beside(neighbours, settings, args.updates))
                print(f"{place}, {name}: {rates[place, name][-1]:.2f}", file=sys.stderr, flush=True)
    print(f"{'updates per second':<24} {'median':>7} {'lowest':>7} {'highest':>8} {'of spinning':>12}")
    for (place, name), found in rates.items():
        median = statistics.median(found)
        ratio = median / statistics.median(rates[place, "spinning"])
        print(f"{place + ', ' + name:<24} {median:>7.2f} {min(found):>7.2f} {max(found):>8.2f} {ratio:>12.2f}")


if __name__ == "__main__":
    main()
