"""Runs command lines as programs, in processes forked from one that has LAVIS and this package imported.

A program that Python starts imports both first, which takes eight seconds, so tests start one that way only if they are
about the start itself (test_startup.py, test_plugin.py, test_shipped.py).
"""

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

TESTS = Path(__file__).parent


@dataclass
class Program:
    """A started program; like subprocess.Popen, but its output goes to two files."""

    process: ForkServerProcess
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float = 300) -> int:
        """Returns the exit status; kills a program that takes longer than `timeout` seconds and fails."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise subprocess.TimeoutExpired(str(self.output), timeout)
        return self.process.exitcode

    @property
    def stdout(self) -> str:
        return self.output.with_suffix(".out").read_text()

    @property
    def stderr(self) -> str:
        return self.output.with_suffix(".err").read_text()


def start(arguments, folder, environment=None, new_session=False) -> Program:
    """Starts `python ARGUMENTS` in a folder; the first argument is `-m` or a script."""
    output = Path(os.environ["FASHIONFAE_CACHE"]) / f"program_{time.monotonic_ns()}"
    environment = {**os.environ, **(environment or {})}
    arguments = [str(argument) for argument in arguments]
    process = fork_server().Process(target=_program, args=(arguments, str(folder), output, environment, new_session))
    process.start()
    return Program(process, output)


def run_python(arguments, folder, environment=None, timeout=300) -> subprocess.CompletedProcess:
    """Runs `python ARGUMENTS` in a folder to its end."""
    program = start(arguments, folder, environment)
    status = program.wait(timeout)
    return subprocess.CompletedProcess(arguments, status, program.stdout, program.stderr)


@cache
def fork_server() -> ForkServerContext:
    """Returns the context of processes that are forked from one with LAVIS and this package imported."""
    context = multiprocessing.get_context("forkserver")
    late = ["torch.utils.tensorboard", "matplotlib.pyplot"]  # what programs import when they run
    context.set_forkserver_preload(
        ["lavis.models", "fashionfae_lavis.train", "fashionfae_lavis.cli", "programs", *late]
    )
    return context


def _program(arguments, folder, output, environment, new_session) -> None:
    """Becomes the program, in the forked process."""
    multiprocessing.set_start_method("fork", force=True)  # as in a program that Python starts
    if new_session:
        os.setsid()
    for descriptor, ending in ((1, ".out"), (2, ".err")):
        with open(output.with_suffix(ending), "wb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    warnings.simplefilter("ignore")
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(folder))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str((Path(folder) / arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")


def start_two_processes(arguments, folder) -> list[Program]:
    """Starts `python ARGUMENTS` in two processes that communicate over gloo, with the environment of torchrun."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    return [
        start(arguments, folder, {**group, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"})
        for rank in range(2)
    ]


def run_in_two_processes(arguments, folder) -> None:
    """Runs `python ARGUMENTS` in two processes to their end; see `start_two_processes`."""
    ranks = start_two_processes(arguments, folder)
    statuses = [program.wait() for program in ranks]
    assert statuses == [0, 0], "\n".join(program.stderr for program in ranks)


def command(*options, program="train") -> list[str]:
    """Returns the arguments of `python` that run one of LAVIS's programs on `config.yaml`."""
    overrides = ["--options", *options] if options else []
    return ["-m", f"lavis.{program}", "--cfg-path", "config.yaml", *overrides]


def run(folder, *options, program="train") -> subprocess.CompletedProcess:
    """Runs one of LAVIS's programs on the `config.yaml` of a folder."""
    return run_python(command(*options, program=program), folder)


def one_line(result) -> str:
    """Returns the error of a failed command, which must be one line without a stack trace."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def run_and_kill(folder: Path, output_dir: str, after: int) -> Path:
    """Trains, kills the run after so many lines of metrics, and returns its folder."""
    program = start(command(f"run.output_dir={output_dir}"), folder)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        logs = list((folder / output_dir).glob("*/metrics.jsonl"))
        if logs and len(logs[0].read_text().splitlines()) >= after:
            break
        assert program.poll() is None, "the run ended before it was killed"
        time.sleep(0.01)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    (killed,) = (folder / output_dir).iterdir()
    return killed
