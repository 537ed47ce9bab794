"""Reproduction of a published figure: runs its command and compares the run's results.json with results.yml."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.figures.results import Entry, load_results

RESULTS = "results.json"


def list_figures() -> str:
    """Lists the entries of results.yml that can be reproduced, with description and cost."""
    entries = [entry for entry in load_results().entries.values() if entry.output]
    width = max((len(entry.name) for entry in entries), default=0)
    return "\n".join(f"{entry.name:<{width}}  {entry.what} ({entry.cost or entry.hardware})" for entry in entries)


def reproduce(name: str) -> bool:
    """Runs the command of an entry, and prints each figure as published and as measured.

    Args:
        name: entry of results.yml in the working directory.

    Returns:
        Whether all figures agree within the entry's tolerance.

    Raises:
        UserError: results.yml has no such entry, the entry names no results.json, or the command failed.
    """
    entry = load_results().entry(name)
    if entry.status == "quoted":
        raise UserError(f"`{name}` is quoted from {entry.source}: there is nothing to run.")
    if entry.output is None:
        raise UserError(f"`{name}` writes no {RESULTS}: run `{entry.command}` and compare what it prints.")
    return compare_figures(entry, json.loads(_run(entry).read_text(encoding="utf-8")))


def compare_figures(entry: Entry, found: dict[str, Any]) -> bool:
    """Prints the expected and the measured value of each figure of the entry; returns whether all agree."""
    print(f"\n{entry.name}: {entry.what}")
    print(f"published at commit {entry.commit}, {entry.date}, {entry.hardware}; tolerance {entry.tolerance}\n")
    width = max(map(len, entry.figures))
    print(f"{'figure':<{width}}  {'expected':>10}  {'found':>10}")
    agreed = 0
    for path, figure in entry.figures.items():
        expected, value = figure.value, _look_up(found, path)
        agrees = value is not None and abs(value - (expected or 0)) <= (entry.tolerance or 0)
        agreed += agrees
        shown = "missing" if value is None else f"{value:.4f}"
        print(f"{path:<{width}}  {expected:>10}  {shown:>10}{'' if agrees else '  DIFFERS'}")
    print(f"\n{agreed} of {len(entry.figures)} figures agree.")
    return agreed == len(entry.figures)


def _run(entry: Entry) -> Path:
    """Runs the entry's command; returns the path of the results.json that it wrote."""
    output = Path(str(entry.output))
    before = set(output.glob(f"*/{RESULTS}"))
    program, *arguments = shlex.split(str(entry.command))
    print(f"$ {entry.command}", flush=True)
    # Put the programs of the running Python first on PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = sys.executable if program == "python" else program
    status = subprocess.run([program, *arguments], env={**os.environ, "PATH": path}).returncode
    if status:
        raise UserError(f"The command of `{entry.name}` failed with exit status {status}.")
    new = sorted(set(output.glob(f"*/{RESULTS}")) - before)
    if not new:
        raise UserError(f"The command of `{entry.name}` wrote no {RESULTS} below {output}: check its key `output`.")
    return new[-1]


def _look_up(found: Any, path: str) -> float | None:
    """Returns the number at a dotted path, None if there is none."""
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int | float) else None
