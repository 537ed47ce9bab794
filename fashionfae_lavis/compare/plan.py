"""A plan: a yaml that names systems, seeds and evaluations, and the jobs that it comes to.

    title: what is compared, the head of its section in the report
    output: folder of runs, results and tables
    report: Markdown file in which the plan has a section of its own; left out, there is none
    seeds: [0, 1, 2]
    training: {run.max_iters: 400}      # options of all trainings
    evaluations:                        # of each checkpoint: fine-tuning, or what run.evaluate makes a mere test
      retrieval: {config: projects/fashionfae/retrieval_eval.yaml, options: {...}}
    systems:
      FashionFAE:
        config: projects/fashionfae/pretrain.yaml
        options: {...}                  # of its training, over the shared ones
        evaluations: {retrieval: {...}} # where it needs a configuration or options of its own; null leaves it out

`base: other.yaml` takes another plan's keys, those of this file over them. A seed is `run.seed` of the training and of
fine-tuning; a mere test keeps its own, which is part of its protocol.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fashionfae_lavis.compare.outcomes import Outcome, check_agreement, planned_outcome
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.train import load_config

TRAINING = "training"
KEYS = {"base", "title", "output", "report", "seeds", "training", "evaluations", "systems"}
# Where a run writes, and that it goes on where it stopped, is not part of what it computes.
INCIDENTAL = ("output_dir", "resume_ckpt_path")


@dataclass(frozen=True)
class Job:
    """One run of a program: a training, or an evaluation of the checkpoint of the training it is `after`."""

    system: str
    seed: int
    name: str
    config: str
    options: tuple[tuple[str, object], ...]
    after: "Job | None" = None

    @property
    def title(self) -> str:
        return f"{self.system}, seed {self.seed}, {self.name}"

    @property
    def place(self) -> Path:
        """Where its files are, below the plan's output folder, without suffix."""
        return Path(_slug(self.system), f"seed{self.seed}", _slug(self.name))

    @property
    def option_list(self) -> list[str]:
        """KEY=VALUE, as the command line takes them; a value is JSON, which yaml reads."""
        return [f"{key}={json.dumps(value)}" for key, value in self.options]

    @cached_property
    def resolved(self) -> dict:
        """The whole configuration, defaults included, as plain containers; UserError as of `load_config`."""
        args = argparse.Namespace(cfg_path=self.config, options=self.option_list or None)
        return OmegaConf.to_container(load_config(args).config, resolve=True)

    @cached_property
    def key(self) -> dict:
        """All that decides its result: its configuration, the weights it reads, and the training before it."""
        run = {name: value for name, value in self.resolved["run"].items() if name not in INCIDENTAL}
        model = dict(self.resolved["model"])
        if self.after:
            model.pop("pretrained", None)  # the training's checkpoint takes its place
        return {
            "configuration": {**self.resolved, "model": model, "run": run},
            "weights": {name: _digest(path.read_bytes()) for name, path in _weight_files(model)},
            "training": self.after and self.after.digest,
        }

    @property
    def digest(self) -> str:
        return _digest(json.dumps(self.key, sort_keys=True).encode())


@dataclass(frozen=True)
class Plan:
    """A plan that has been read; `name` is its file's."""

    name: str
    title: str
    output: Path
    report: Path | None
    seeds: list[int]
    jobs: list[Job]

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(job.system for job in self.jobs))


def read_plan(path: str, seeds: list[int] | None = None, output: str | None = None) -> Plan:
    """Read a plan and check all its configurations and protocols; arguments replace what it says.

    Raises:
        UserError: it is missing or makes no sense, a configuration is wrong, or the evaluations disagree.
    """
    content = _read(path)
    seeds = content["seeds"] if seeds is None else seeds
    whole = isinstance(seeds, list) and all(isinstance(seed, int) and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"{path}: `seeds` must be a list of different whole numbers, such as [0, 1, 2], not {seeds}.")
    places = {_slug(name) for name in content["systems"]}
    if len(places) < len(content["systems"]):
        raise UserError(f"{path}: `systems`: two names differ in signs only; folders are named by them.")
    jobs = [job for seed in seeds for name in content["systems"] for job in _jobs(path, content, name, seed)]
    check_agreement(_planned(path, jobs))
    report = content.get("report")
    name = Path(path).stem
    return Plan(name, content["title"], Path(output or content["output"]), report and Path(report), seeds, jobs)


def _planned(path: str, jobs: list[Job]) -> Iterator[tuple[str, Outcome]]:
    """System and what is planned to be measured, of each evaluation."""
    kinds = set()
    for job in jobs:
        found = planned_outcome(job.resolved)  # of a training too: a mistake in it comes to light now
        if not job.after:
            continue
        if found is None:
            task = job.resolved["run"]["task"]
            raise UserError(f"{path}: `evaluations.{job.name}`: results of the task {task} cannot be compared.")
        if (job.system, job.seed, found.kind) in kinds:
            raise UserError(f"{path}: `evaluations.{job.name}` is a second {found.kind}: give it a plan of its own.")
        kinds.add((job.system, job.seed, found.kind))
        yield job.system, found


def _read(path: str) -> dict:
    if not Path(path).is_file():
        raise UserError(f"There is no plan {path} (working directory: {Path.cwd()}).")
    try:
        content = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a yaml file: {' '.join(str(error).split())}") from error
    content = OmegaConf.to_container(content) if OmegaConf.is_dict(content) else {}
    if content.get("base"):
        base = _read(str(Path(path).parent / content["base"]))
        content = OmegaConf.to_container(OmegaConf.merge(base, content))
    missing, unknown = KEYS - {"base", "report"} - content.keys(), content.keys() - KEYS
    if missing or unknown:
        what = f"lacks the key `{min(missing)}`" if missing else f"has an unknown key `{min(unknown)}`"
        raise UserError(f"{path} {what}; a plan has {', '.join(sorted(KEYS))}.")
    for key in ("evaluations", "systems"):
        if not isinstance(content[key], dict) or not content[key]:
            raise UserError(f"{path}: `{key}` must name at least one.")
    return content


def _jobs(path: str, content: dict, system: str, seed: int) -> Iterator[Job]:
    """The training of a system with a seed, and its evaluations."""
    own = content["systems"][system] or {}
    if not own.get("config"):
        raise UserError(f"{path}: `systems.{system}.config` is not set: name a configuration of lavis.train.")
    options = {**(content["training"] or {}), **(own.get("options") or {}), "run.seed": seed}
    training = Job(system, seed, TRAINING, own["config"], tuple(options.items()))
    yield training
    changes = own.get("evaluations") or {}
    unknown = changes.keys() - content["evaluations"].keys()
    if unknown:
        known = ", ".join(content["evaluations"])
        raise UserError(f"{path}: `systems.{system}.evaluations`: there is no {min(unknown)}; there are {known}.")
    for name, shared in content["evaluations"].items():
        if name in changes and changes[name] is None:
            continue
        change = changes.get(name, {})
        config = change.get("config") or (shared or {}).get("config")
        if not config:
            raise UserError(f"{path}: `evaluations.{name}.config` is not set: name a configuration.")
        options = {**(shared.get("options") or {}), **(change.get("options") or {})}
        job = Job(system, seed, name, config, tuple(options.items()), training)
        if not job.resolved["run"].get("evaluate"):
            job = Job(system, seed, name, config, (*options.items(), ("run.seed", seed)), training)
        yield job


def _weight_files(value) -> Iterator[tuple[str, Path]]:
    """Names in a model's configuration that are files of weights on this machine."""
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
