"""Run a program in two processes that talk over gloo, as torchrun starts them."""

import os
import subprocess
import sys
from pathlib import Path

LAUNCHER = "-W ignore -m torch.distributed.run --nproc-per-node=2 --rdzv-backend=c10d --rdzv-endpoint=localhost:0"


def run_in_two_processes(program: str, folder: Path, *arguments) -> None:
    """Write `program` into `folder` and run it; it fails the test with what the processes said."""
    script = folder / "program.py"
    script.write_text(program)
    # The package and the helpers under test must be the same in the processes.
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
