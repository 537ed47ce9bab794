"""Runs the jobs of a plan one after another, each in a separate process; finished jobs are skipped.

    <output>/<system>/seed<k>/<job>.json          result, written when the program has succeeded
                              <job>.npz           per-product scores of an evaluation
                              <job>.log           output of the program
                              <job>-<digest>/     runs of the job

The digest is that of the job's configuration. It ensures that an interrupted job never resumes from a checkpoint of
another configuration. The .json and .npz files name no path outside the output folder, so another machine can reuse
them from `finished/<plan>/` beside the plan. A training job whose checkpoint is missing runs again only if one of its
evaluations needs it. Then all of them run again, because another machine's weights differ slightly.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fashionfae_lavis.compare.finished import Row, read_run, training_figures
from fashionfae_lavis.compare.hardware import hardware
from fashionfae_lavis.compare.locks import COMPARISON, PROGRAM, hold
from fashionfae_lavis.compare.outcomes import Outcome, check_agreement, outcome
from fashionfae_lavis.compare.plan import Job, Plan
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.results import HITS
from fashionfae_lavis.files import replacing
from fashionfae_lavis.runners.output_folder import LAST_CHECKPOINT, find_newest_run

SUFFIXES = (".npz", ".json")  # of a finished job's files; the second says that it has finished


def run_plan(plan: Plan) -> tuple[list[Row], list[str]]:
    """Runs the unfinished jobs of a plan.

    Returns:
        A row for each system and seed, and the distinct machines that the jobs ran on.

    Raises:
        UserError: a program failed, another comparison runs in the output folder, or the results' protocols differ.
    """
    rows = []
    machines = []
    number = 0
    with hold(plan.output, COMPARISON):
        with hold(plan.output, PROGRAM):
            pass  # ensure that no program of an earlier comparison is still running
        for training, evaluations in _groups(plan):
            _copy_finished(training, evaluations, plan)
            _discard_unusable(training, evaluations, plan.output)
            row, checkpoint = Row(training.system, training.seed), None
            for job in (training, *evaluations):
                number += 1
                result = _run(job, plan.output, f"[{number}/{len(plan.jobs)}] {job.title}", checkpoint)
                if job.after:
                    row.add(Outcome(**result["outcome"]), plan.output / job.path.with_suffix(".npz"))
                else:
                    checkpoint = plan.output.absolute() / result["checkpoint"]
                    row.figures |= result["figures"]
                machines.append(result["hardware"])
            rows.append(row)
    check_agreement((row.system, found) for row in rows for found in row.outcomes)
    return rows, list(dict.fromkeys(machines))


def _groups(plan: Plan) -> list[tuple[Job, list[Job]]]:
    """Returns each training job with its evaluations."""
    found: dict[Path, tuple[Job, list[Job]]] = {job.path: (job, []) for job in plan.jobs if not job.after}
    for job in plan.jobs:
        if job.after:
            found[job.after.path][1].append(job)
    return list(found.values())


def _usable(training: Job, evaluations: Sequence[Job], output: Path) -> bool:
    """Returns whether the training has finished, and the evaluations too unless its checkpoint is there for them."""
    result = _finished(training, output)
    if not result:
        return False
    return (output / result["checkpoint"]).is_file() or all(_finished(job, output) for job in evaluations)


def _copy_finished(training: Job, evaluations: Sequence[Job], plan: Plan) -> None:
    """Copies the results of a training and its evaluations from another machine, unless this one has them."""
    if not _finished(training, plan.finished) or _usable(training, evaluations, plan.output):
        return
    for job in (*evaluations, training):  # the training last, because it makes the others valid
        if _finished(job, plan.finished):
            (plan.output / job.path).parent.mkdir(parents=True, exist_ok=True)
            for suffix in SUFFIXES:
                _copy(*((folder / job.path).with_suffix(suffix) for folder in (plan.finished, plan.output)))


def _copy(source: Path, target: Path) -> None:
    """Copies a file atomically; deletes the target if there is no source."""
    target.unlink(missing_ok=True)
    if source.is_file():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _discard_unusable(training: Job, evaluations: Sequence[Job], output: Path) -> None:
    """Deletes the results of a training and its evaluations if one of these is left to run without a checkpoint."""
    if _finished(training, output) and not _usable(training, evaluations, output):
        print(f"{training.title}: running again, because its checkpoint is missing", flush=True)
        for job in (*evaluations, training):  # the training last, because it makes the others valid
            for suffix in SUFFIXES:
                (output / job.path).with_suffix(suffix).unlink(missing_ok=True)


def _finished(job: Job, output: Path) -> dict | None:
    """Returns the result of a job that ran with the same configuration; None if it must run."""
    result = _read_result(output / job.path.with_suffix(".json"))
    return result if result and result["digest"] == job.digest else None


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
    portable = [argument.replace(f"{output.absolute()}/", "") for argument in arguments]
    result = {
        "digest": job.digest,
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        **_gather(job, runs, output.absolute()),
        "command": ["python", "-m", f"lavis.{program}", *portable],
        "key": job.key,
    }
    if job.after:
        newest = max(runs.glob("*/results.json"), key=lambda file: file.stat().st_mtime)
        _copy(newest.with_name(HITS), path.with_suffix(".npz"))
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
