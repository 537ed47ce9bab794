"""A short run of all fuzzers; `make fuzz` is the long one."""

from pathlib import Path

import pytest
from programs import run_python

CASES = 12  # of each kind


@pytest.mark.slow
def test_hostile_inputs(tmp_path):
    """In a process of its own, because each case is a fork of it."""
    command = ["-m", "fuzz", "--cases", CASES, "--seed", 7, "--output", tmp_path]
    result = run_python(command, Path(__file__).parents[1], timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    assert f"| all | {7 * CASES} |" in result.stdout
