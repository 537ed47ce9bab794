"""Locks that keep two comparisons, or the programs they run, from working in one folder at the same time."""

from contextlib import AbstractContextManager
from pathlib import Path

from fashionfae_lavis import locks

# A comparison holds one lock, and the program that it runs holds the other, which outlives a killed comparison.
COMPARISON, PROGRAM = ".lock", ".program.lock"


def hold(folder: Path, name: str) -> AbstractContextManager[None]:
    """Creates the folder and holds one of its locks; see `locks.hold`."""
    return locks.hold(folder, name, "Another comparison is running", "choose another folder with --output")
