"""Running a plan's jobs, one after another, each in a process of its own; what is done already is not done again.

    <output>/<system>/seed<k>/<job>.json          what it gave, written when it has ended well
                              <job>.log           what its program printed
                              <job>-<digest>/     its run, in a folder of this configuration alone

So a run that was stopped goes on from its checkpoint, and one of another configuration never does.
"""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fashionfae_lavis.checkpoints import replacing
from fashionfae_lavis.compare.finished import Row, read_run, training_figures
from fashionfae_lavis.compare.hardware import hardware
from fashionfae_lavis.compare.outcomes import Outcome, check_agreement, outcome
from fashionfae_lavis.compare.plan import Job, Plan
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.output_folder import LAST_CHECKPOINT, find_newest_run


def run_plan(plan: Plan) -> tuple[list[Row], list[str]]:
    """Run what is missing of a plan; returns a row for each system and seed, and the hardware it all ran on.

    Raises:
        UserError: a program failed, another process works in this folder, or the results' protocols differ.
    """
    rows, machines = {}, []
    with _alone(plan.output) as lock:
        for number, job in enumerate(plan.jobs, 1):
            head = f"[{number}/{len(plan.jobs)}] {job.title}"
            result = _run(job, plan.output, head, lock)
            row = rows.setdefault((job.system, job.seed), Row(job.system, job.seed))
            if job.after:
                row.add(Outcome(**result["outcome"]))
            else:
                row.figures |= result["figures"]
            machines.append(result["hardware"])
    check_agreement((row.system, found) for row in rows.values() for found in row.outcomes)
    return list(rows.values()), list(dict.fromkeys(machines))


def _run(job: Job, output: Path, head: str, lock: int) -> dict:
    """The job's result, from its file or from running it."""
    path = output / job.place.with_suffix(".json")
    before = _read_result(path)
    if before and before["digest"] == job.digest:
        print(f"{head}: done before", flush=True)
        return before
    changed = f" again, as {_difference(before['key'], json.loads(json.dumps(job.key)))}" if before else ""
    print(f"{head}: runs{changed}", flush=True)
    runs = output.absolute() / f"{job.place}-{job.digest}"
    runs.mkdir(parents=True, exist_ok=True)
    program, own = "train", {"run.output_dir": str(runs)}
    if job.resolved["run"].get("evaluate"):
        program = "evaluate"
    else:
        own["run.resume_ckpt_path"] = "auto"
    if job.after:
        start = _result_of(job.after, output)["checkpoint"]
        own |= {"model.pretrained": str(output.absolute() / start), "model.load_pretrained": True}
    options = [*job.option_list, *(f"{key}={json.dumps(value)}" for key, value in own.items())]
    command = [sys.executable, "-m", f"lavis.{program}", "--cfg-path", job.config, "--options", *options]
    start = time.perf_counter()
    _call(command, output / job.place.with_suffix(".log"), job, lock)
    seconds = time.perf_counter() - start
    result = {
        "digest": job.digest,
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        **_gather(job, runs, output.absolute()),
        "command": command,
        "key": job.key,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{head}: {seconds:.0f} s", flush=True)
    return result


def _call(command: list[str], log: Path, job: Job, lock: int) -> None:
    """Run a program to its end; UserError with its reason if that is no success."""
    with open(log, "w") as file:
        # The program holds the lock too: should it outlive this process, no other starts beside it.
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, pass_fds=(lock,))
        try:
            os.pwrite(lock, f"{process.pid:<12}".encode(), 0)
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["nothing"]
        # A sentence of ours or the last line of a stack trace, which more lines may follow.
        reasons = [line for line in lines if re.match(r"error: |[\w.]+(Error|Exception)\b", line)] or lines
        raise UserError(f"{job.title} ended with status {status}, see {log}: {reasons[-1].removeprefix('error: ')}")


def _gather(job: Job, runs: Path, output: Path) -> dict:
    """What a job that has ended well left in the folder of its runs."""
    if not job.after:
        folder = find_newest_run(runs)
        checkpoint = str((folder / LAST_CHECKPOINT).relative_to(output))
        return {"checkpoint": checkpoint, "figures": training_figures(folder)}
    folder = max(runs.glob("*/results.json"), key=lambda path: path.stat().st_mtime, default=None)
    found = folder and outcome(*read_run(folder.parent))
    if not found:
        raise UserError(f"{job.title} gave no results: {job.config} must name a split in run.test_splits.")
    return {"outcome": found.as_dict()}


def _result_of(job: Job, output: Path) -> dict:
    return _read_result(output / job.place.with_suffix(".json"))


def _read_result(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is damaged: delete it, and its job will be done again.") from error


def _difference(before, now, name: str = "") -> str:
    """The first thing that differs between two keys, in words."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{name} has changed from {json.dumps(before)} to {json.dumps(now)}"
    missing = object()
    key = next(key for key in {**before, **now} if before.get(key, missing) != now.get(key, missing))
    return _difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[int]:
    """Makes the folder and holds its lock; yields the lock's file descriptor."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = os.open(output / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(f"Cannot write to {output} ({error.strerror}): name another folder with --output.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        process = os.pread(lock, 12, 0).decode().strip() or "unknown"
        os.close(lock)
        raise UserError(
            f"Another comparison works in {output} (process {process}): wait for it, end it, or name another folder "
            "with --output."
        ) from error
    try:
        yield lock
    finally:
        os.close(lock)
