"""Runs LAVIS's command lines as programs on the `config.yaml` of a folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def command(*options, program="train"):
    overrides = ["--options", *options] if options else []
    return [sys.executable, "-W", "ignore", "-m", f"lavis.{program}", "--cfg-path", "config.yaml", *overrides]


def run(folder, *options, program="train"):
    return subprocess.run(command(*options, program=program), cwd=folder, capture_output=True, text=True, timeout=300)


def one_line(result) -> str:
    """Returns the error of a failed command, which must be one line without a stack trace."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def run_and_kill(folder: Path, output_dir: str, after: int) -> Path:
    """Trains, kills the run after so many lines of metrics, and returns its folder."""
    process = subprocess.Popen(
        command(f"run.output_dir={output_dir}"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        logs = list((folder / output_dir).glob("*/metrics.jsonl"))
        if logs and len(logs[0].read_text().splitlines()) >= after:
            break
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (killed,) = (folder / output_dir).iterdir()
    return killed
