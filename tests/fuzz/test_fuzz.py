"""A short run of all fuzzers; `make fuzz` is the long one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = 12  # of each kind


@pytest.mark.slow
def test_hostile_inputs(tmp_path):
    """In a process of its own, because each case is a fork of it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, "-m", "fuzz", "--cases", str(CASES), "--seed", "7", "--output", str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    assert f"| all | {7 * CASES} |" in result.stdout
