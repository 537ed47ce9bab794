"""Runs the jobs of a plan one after another, each in a separate process; finished jobs are skipped.

    <output>/<system>/seed<k>/<job>.json          result, written when the program has succeeded
                              <job>.log           output of the program
                              <job>-<digest>/     runs of the job

The digest is that of the job's configuration. It ensures that an interrupted job never resumes from a checkpoint of
another configuration.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from fashionfae_lavis.compare.finished import Row, read_run, training_figures
from fashionfae_lavis.compare.hardware import hardware
from fashionfae_lavis.compare.locks import COMPARISON, PROGRAM, hold
from fashionfae_lavis.compare.outcomes import Outcome, check_agreement, outcome
from fashionfae_lavis.compare.plan import Job, Plan
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.runners.output_folder import LAST_CHECKPOINT, find_newest_run


def run_plan(plan: Plan) -> tuple[list[Row], list[str]]:
    """Runs the unfinished jobs of a plan.

    Returns:
        A row for each system and seed, and the distinct machines that the jobs ran on.

    Raises:
        UserError: a program failed, another comparison runs in the output folder, or the results' protocols differ.
    """
    rows: dict[tuple[str, int], Row] = {}
    machines = []
    checkpoint = None  # from the latest training job, which a plan lists right before its evaluations
    with hold(plan.output, COMPARISON):
        with hold(plan.output, PROGRAM):
            pass  # ensure that no program of an earlier comparison is still running
        for number, job in enumerate(plan.jobs, 1):
            result = _run(job, plan.output, f"[{number}/{len(plan.jobs)}] {job.title}", checkpoint)
            row = rows.setdefault((job.system, job.seed), Row(job.system, job.seed))
            if job.after:
                row.add(Outcome(**result["outcome"]))
            else:
                checkpoint = plan.output.absolute() / result["checkpoint"]
                row.figures |= result["figures"]
            machines.append(result["hardware"])
    check_agreement((row.system, found) for row in rows.values() for found in row.outcomes)
    return list(rows.values()), list(dict.fromkeys(machines))


def _run(job: Job, output: Path, heading: str, checkpoint: Path | None) -> dict:
    """Returns the job's result: from its file if the configuration is unchanged, else by running the job.

    Args:
        job: the job.
        output: the plan's output folder.
        heading: name of the job in printed lines.
        checkpoint: checkpoint that an evaluation starts from; None for a training job.
    """
    path = output / job.path.with_suffix(".json")
    before = _read_result(path)
    if before and before["digest"] == job.digest:
        print(f"{heading}: finished earlier", flush=True)
        return before
    reason = f" again, because {_difference(before['key'], json.loads(json.dumps(job.key)))}" if before else ""
    print(f"{heading}: running{reason}", flush=True)
    runs = output.absolute() / f"{job.path}-{job.digest}"
    runs.mkdir(parents=True, exist_ok=True)
    program = "evaluate" if job.resolved["run"].get("evaluate") else "train"
    arguments = _arguments(job, program, runs, checkpoint)
    locked = [sys.executable, "-m", "fashionfae_lavis.compare.program", str(output), program, *arguments]
    start = time.perf_counter()
    _call(locked, output / job.path.with_suffix(".log"), job)
    seconds = time.perf_counter() - start
    result = {
        "digest": job.digest,
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        **_gather(job, runs, output.absolute()),
        "command": [sys.executable, "-m", f"lavis.{program}", *arguments],
        "key": job.key,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{heading}: {seconds:.0f} s", flush=True)
    return result


def _arguments(job: Job, program: str, runs: Path, checkpoint: Path | None) -> list[str]:
    """Returns the arguments of the job's program, `train` or `evaluate`, which writes below `runs`."""
    location: dict[str, object] = {"run.output_dir": str(runs)}
    if program == "train":
        location["run.resume_ckpt_path"] = "auto"
    if job.after:
        location |= {"model.pretrained": str(checkpoint), "model.load_pretrained": True}
    options = [*job.option_list, *(f"{key}={json.dumps(value)}" for key, value in location.items())]
    return ["--cfg-path", job.config, "--options", *options]


def _call(command: list[str], log: Path, job: Job) -> None:
    """Runs a program until it ends; terminates it if this process is interrupted.

    Raises:
        UserError: the program failed; the message gives the reason.
    """
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["no output"]
        # Find a user error or the last line of a stack trace; other output may follow it.
        reasons = [line for line in lines if re.match(r"error: |[\w.]+(Error|Exception)\b", line)] or lines
        raise UserError(f"{job.title} ended with status {status}, see {log}: {reasons[-1].removeprefix('error: ')}")


def _gather(job: Job, runs: Path, output: Path) -> dict:
    """Reads the result of a finished job from the folder of its runs."""
    if not job.after:
        folder = find_newest_run(runs)
        if not folder:
            raise UserError(f"{job.title} wrote no checkpoint: {job.config} must train at least one update.")
        checkpoint = str((folder / LAST_CHECKPOINT).relative_to(output))
        return {"checkpoint": checkpoint, "figures": training_figures(folder)}
    results = max(runs.glob("*/results.json"), key=lambda path: path.stat().st_mtime, default=None)
    found = results and outcome(*read_run(results.parent))
    if not found:
        raise UserError(f"{job.title} gave no results: {job.config} must name a split in run.test_splits.")
    return {"outcome": found.as_dict()}


def _read_result(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is damaged: delete it to run its job again.") from error


def _difference(before, now, name: str = "") -> str:
    """Describes the first difference between two values of a job's `key`."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{name} has changed from {json.dumps(before)} to {json.dumps(now)}"
    missing = object()
    key = next(key for key in {**before, **now} if before.get(key, missing) != now.get(key, missing))
    return _difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)
