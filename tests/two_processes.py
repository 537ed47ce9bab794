"""Runs the text of a program in two processes that communicate over gloo."""

from pathlib import Path

import programs


def run_in_two_processes(program: str, folder: Path, *arguments) -> None:
    """Writes `program` into `folder` and runs it; a failure shows the errors of the processes."""
    script = folder / "program.py"
    script.write_text(program)
    programs.run_in_two_processes([script, *arguments], folder)
