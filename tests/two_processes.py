"""Runs a program in two processes that communicate over gloo, as torchrun starts them."""

import os
import subprocess
import sys
from pathlib import Path

LAUNCHER = "-W ignore -m torch.distributed.run --nproc-per-node=2 --rdzv-backend=c10d --rdzv-endpoint=localhost:0"


def run_in_two_processes(program: str, folder: Path, *arguments) -> None:
    """Writes `program` into `folder` and runs it; a failure shows the output of the processes."""
    script = folder / "program.py"
    script.write_text(program)
    # The processes must import the same package and test helpers as this one.
    tests = Path(__file__).parent
    folders = [tests, *(path for path in tests.iterdir() if path.is_dir()), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(str(folder) for folder in folders if folder)
    done = subprocess.run(
        [sys.executable, *LAUNCHER.split(), str(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
