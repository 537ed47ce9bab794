"""Plans of comparisons: a yaml file names systems, seeds and evaluations, and expands into jobs.

    title: heading of the plan's section in the report
    output: folder of runs, results and tables
    report: Markdown file that gets the section (optional)
    seeds: [0, 1, 2]
    training: {run.max_iters: 400}      # options of every training
    evaluations:                        # of every checkpoint; they fine-tune unless the configuration sets run.evaluate
      retrieval: {config: projects/fashionfae/retrieval_eval.yaml, options: {...}}
    systems:
      FashionFAE:
        config: projects/fashionfae/pretrain.yaml
        options: {...}                  # of its training; they override the shared options
        evaluations: {retrieval: {...}} # configuration or options that differ for it; null skips an evaluation

`base: other.yaml` reads another plan first, whose keys this file overrides. A seed becomes `run.seed` of training and
fine-tuning. An evaluation without training keeps the seed of its configuration, which is part of its protocol.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fashionfae_lavis.compare.outcomes import Outcome, check_agreement, planned_outcome
from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped

TRAINING = "training"
KEYS = {"base", "title", "output", "report", "seeds", "training", "evaluations", "systems"}
# Keys of `run` that do not change what a job computes, only where it writes and whether it resumes.
INCIDENTAL = ("output_dir", "resume_ckpt_path")


@dataclass(frozen=True)
class Job:
    """One run of a program.

    Attributes:
        system: name of the system.
        seed: seed of the training.
        name: `training`, or the name of an evaluation.
        config: path of the configuration.
        options: pairs of a key and a value that override the configuration.
        after: the training job whose checkpoint an evaluation reads; None for a training job.
    """

    system: str
    seed: int
    name: str
    config: str
    options: tuple[tuple[str, object], ...]
    after: "Job | None" = None

    @property
    def title(self) -> str:
        """Name of the job in messages."""
        return f"{self.system}, seed {self.seed}, {self.name}"

    @property
    def path(self) -> Path:
        """Path of the job's files below the plan's output folder, without suffix."""
        return Path(_slug(self.system), f"seed{self.seed}", _slug(self.name))

    @property
    def option_list(self) -> list[str]:
        """The options as KEY=VALUE for the command line; values are JSON, which is also yaml."""
        return [f"{key}={json.dumps(value)}" for key, value in self.options]

    @cached_property
    def resolved(self) -> dict:
        """The whole configuration with defaults, as plain containers; raises UserError like `load_config`."""
        args = argparse.Namespace(cfg_path=self.config, options=self.option_list or None)
        config: Any = OmegaConf.to_container(load_config(args).config, resolve=True)
        return config

    @cached_property
    def key(self) -> dict:
        """Everything that determines the result: the configuration, the weights it reads, and the training job."""
        run = {name: value for name, value in self.resolved["run"].items() if name not in INCIDENTAL}
        model = dict(self.resolved["model"])
        if self.after:
            model.pop("pretrained", None)  # replaced by the checkpoint of the training
        return {
            "configuration": {**self.resolved, "model": model, "run": run},
            "weights": {name: _digest(path.read_bytes()) for name, path in _weight_files(model)},
            "training": self.after and self.after.digest,
        }

    @property
    def digest(self) -> str:
        """Digest of `key`."""
        return _digest(json.dumps(self.key, sort_keys=True).encode())


@dataclass(frozen=True)
class Plan:
    """A plan and its jobs.

    Attributes:
        name: name of the plan's file, without suffix.
        title: heading of the plan's section in the report.
        output: folder of runs, results and tables.
        report: Markdown file that gets the section, if any.
        seeds: seeds of the training jobs.
        jobs: the jobs in the order of execution, each training job followed by its evaluations.
    """

    name: str
    title: str
    output: Path
    report: Path | None
    seeds: list[int]
    jobs: list[Job]


def read_plan(path: str, seeds: list[int] | None = None, output: str | None = None) -> Plan:
    """Reads a plan and checks its configurations and protocols.

    Args:
        path: the yaml file.
        seeds: seeds to use instead of the plan's.
        output: folder to use instead of the plan's.

    Raises:
        UserError: the plan is missing or invalid, a configuration is wrong, or the evaluations' protocols differ.
    """
    content = _read(path)
    seeds = content["seeds"] if seeds is None else seeds
    valid = isinstance(seeds, list) and all(isinstance(seed, int) and seed >= 0 for seed in seeds)
    if not valid or not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"{path}: `seeds` must be a list of distinct whole numbers, such as [0, 1, 2], not {seeds}.")
    if len({_slug(name) for name in content["systems"]}) < len(content["systems"]):
        raise UserError(
            f"{path}: `systems`: two names differ only in case or punctuation: rename one, as names become folders."
        )
    jobs = [job for seed in seeds for name in content["systems"] for job in _jobs(path, content, name, seed)]
    check_agreement(_planned(path, jobs))
    report = content.get("report")
    name = Path(path).stem
    return Plan(name, content["title"], Path(output or content["output"]), report and Path(report), seeds, jobs)


def _planned(path: str, jobs: list[Job]) -> Iterator[tuple[str, Outcome]]:
    """Yields the system and the planned protocol of each evaluation."""
    kinds = set()
    for job in jobs:
        found = planned_outcome(job.resolved)  # also for training jobs, to find errors in their configurations
        if not job.after:
            continue
        if found is None:
            task = job.resolved["run"]["task"]
            raise UserError(f"{path}: `evaluations.{job.name}`: results of the task {task} cannot be compared.")
        if (job.system, job.seed, found.kind) in kinds:
            raise UserError(f"{path}: `evaluations.{job.name}` is a second {found.kind}: move it to another plan.")
        kinds.add((job.system, job.seed, found.kind))
        yield job.system, found


def _read(path: str) -> dict:
    """Reads the keys of a plan, including its base's keys."""
    if not Path(path).is_file():
        raise UserError(f"There is no plan {path} (working directory: {Path.cwd()}).")
    try:
        loaded = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a yaml file: {' '.join(str(error).split())}") from error
    content: Any = OmegaConf.to_container(loaded) if OmegaConf.is_dict(loaded) else {}
    if content.get("base"):
        base = _read(str(Path(path).parent / content["base"]))
        content = OmegaConf.to_container(OmegaConf.merge(base, content))
    missing, unknown = KEYS - {"base", "report"} - content.keys(), content.keys() - KEYS
    if missing or unknown:
        problem = f"lacks the key `{min(missing)}`" if missing else f"has an unknown key `{min(unknown)}`"
        raise UserError(f"{path} {problem}; the keys of a plan are {', '.join(sorted(KEYS))}.")
    for key in ("evaluations", "systems"):
        if not isinstance(content[key], dict) or not content[key]:
            raise UserError(f"{path}: `{key}` must have at least one entry.")
    return content


def _jobs(path: str, content: dict, system: str, seed: int) -> Iterator[Job]:
    """Yields the training job of a system with one seed, then its evaluations."""
    section = content["systems"][system] or {}
    if not section.get("config"):
        raise UserError(f"{path}: `systems.{system}.config` is not set: name a configuration of lavis.train.")
    options = {**(content["training"] or {}), **(section.get("options") or {}), "run.seed": seed}
    training = Job(system, seed, TRAINING, section["config"], tuple(options.items()))
    yield training
    changes = section.get("evaluations") or {}
    unknown = changes.keys() - content["evaluations"].keys()
    if unknown:
        known = ", ".join(content["evaluations"])
        raise UserError(f"{path}: `systems.{system}.evaluations` has {min(unknown)}, but the plan's are {known}.")
    for name, shared in content["evaluations"].items():
        if name in changes and changes[name] is None:
            continue
        shared, change = shared or {}, changes.get(name, {})
        config = change.get("config") or shared.get("config")
        if not config:
            raise UserError(f"{path}: `evaluations.{name}.config` is not set: name a configuration.")
        options = {**(shared.get("options") or {}), **(change.get("options") or {})}
        job = Job(system, seed, name, config, tuple(options.items()), training)
        if not job.resolved["run"].get("evaluate"):
            job = Job(system, seed, name, config, (*options.items(), ("run.seed", seed)), training)
        yield job


def _weight_files(value) -> Iterator[tuple[str, Path]]:
    """Yields each name in a model's configuration that is a weight file on this machine, with its path."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _weight_files(item)
    elif isinstance(value, str) and value.endswith((".safetensors", ".pth")):
        path = Path(shipped("weights", value))
        if path.is_file():
            yield value, path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")
