"""Plans of comparisons: a yaml file names systems, seeds and evaluations, and expands into jobs.

    title: heading of the plan's section in the report
    output: folder of runs, results and tables
    report: Markdown file that gets the section (optional)
    seeds: [0, 1, 2]
    catalogue: shop                     # folder that the options name as ${catalogue} (optional)
    training: {run.max_iters: 400}      # options of every training
    evaluations:                        # run on every checkpoint; fine-tune first unless the file sets run.evaluate
      retrieval: {config: projects/fashionfae/retrieval_eval.yaml, options: {...}}
    systems:
      FashionFAE:
        config: projects/fashionfae/pretrain.yaml
        options: {...}                  # options of its training; they override the shared ones
        evaluations: {retrieval: {...}} # configuration or options for this system only; null skips an evaluation

With `base: other.yaml`, the file extends another plan and overrides its keys. Each seed is used as `run.seed` of
training and fine-tuning. An evaluation without training keeps the seed of its configuration, which is part of its
protocol.
"""

import argparse
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen
from lavis.common.config import Config
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fashionfae_lavis.compare.outcomes import Outcome, check_agreement, planned_outcome
from fashionfae_lavis.configuration import check_containers, load_config
from fashionfae_lavis.datasets.builders.catalogue import find_catalogue
from fashionfae_lavis.datasets.datasets.catalogue_file import NAME, listed_products
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.preflight import check_files
from fashionfae_lavis.schema.fields import CountOrZero, Must, Section, Text
from fashionfae_lavis.schema.validation import validate
from fashionfae_lavis.suggestions import hint
from fashionfae_lavis.yaml_file import read_yaml, reason

TRAINING = "training"
# Keys of `run` that do not change what a job computes, only where it writes and whether it resumes.
INCIDENTAL = ("output_dir", "resume_ckpt_path")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


Options = dict[Text, Annotated[Any, Must("text, a number, true, false, null, or a list or mapping of these", _is_json)]]
Seeds = Annotated[
    list[CountOrZero],
    Must("a list of distinct whole numbers, such as [0, 1, 2]", lambda seeds: 0 < len(seeds) == len(set(seeds))),
]


Contrast = Annotated[
    list[Text],
    Must("a pair of systems, such as [with AETP, without]", lambda names: len(names) == len(set(names)) == 2),
]


class EvaluationEntry(Section):
    """An entry of `evaluations`"""

    config: Text | None = None
    options: Options | None = None


class SystemEntry(Section):
    """An entry of `systems`"""

    config: Text
    options: Options | None = None
    evaluations: dict[str, EvaluationEntry | None] | None = None


class PlanFile(Section):
    """The content of a plan, with the keys of its base"""

    base: Text | None = None
    title: Text
    output: Text
    report: Text | None = None
    seeds: Seeds
    catalogue: Text | None = None
    training: Options | None = None
    evaluations: Annotated[dict[str, EvaluationEntry | None], MinLen(1)]
    systems: Annotated[dict[str, SystemEntry], MinLen(1)]
    contrasts: list[Contrast] | None = None


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
    def loaded(self) -> Config:
        """The whole configuration with defaults; raises UserError like `load_config`."""
        try:
            return load_config(argparse.Namespace(cfg_path=self.config, options=self.option_list or None))
        except UserError as error:
            raise UserError(f"{self.title}: {error}") from error

    @cached_property
    def resolved(self) -> dict:
        """The whole configuration as plain containers."""
        config: Any = OmegaConf.to_container(self.loaded.config, resolve=True)
        return config

    @cached_property
    def key(self) -> dict:
        """Everything that determines the result: the configuration, the files that it reads, and the training job."""
        run = {name: value for name, value in self.resolved["run"].items() if name not in INCIDENTAL}
        model = dict(self.resolved["model"])
        if self.after:
            model.pop("pretrained", None)  # replaced by the checkpoint of the training
        return {
            "configuration": {**self.resolved, "model": model, "run": run},
            "weights": {name: _digest(path.read_bytes()) for name, path in _weight_files(model)},
            **_catalogues(self.resolved["datasets"]),
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
        finished: folder of the results that came with the plan, from other machines; may be missing.
        report: Markdown file that gets the section, if any.
        seeds: seeds of the training jobs.
        contrasts: pairs of systems whose differences the tables show; empty for all from the first.
        jobs: the jobs in the order of execution, each training job followed by its evaluations.
    """

    name: str
    title: str
    output: Path
    finished: Path
    report: Path | None
    seeds: list[int]
    contrasts: list[tuple[str, str]]
    jobs: list[Job]


def read_plan(
    path: str, seeds: list[int] | None = None, output: str | None = None, catalogue: str | None = None
) -> Plan:
    """Reads a plan and checks its configurations and protocols.

    Args:
        path: the yaml file.
        seeds: seeds to use instead of the plan's.
        output: folder to use instead of the plan's.
        catalogue: prepared catalogue to use instead of the plan's.

    Raises:
        UserError: the plan is missing or invalid, a configuration is wrong, or the evaluations' protocols differ.
    """
    content = read_plan_file(path, catalogue)
    if seeds is not None:
        content = content.model_copy(update={"seeds": seeds})
        validate(PlanFile, content.model_dump(), f"{path}: ")
    if len({_slug(name) for name in content.systems}) < len(content.systems):
        raise UserError(
            f"{path}: `systems`: two names differ only in case or punctuation: rename one, as names become folders."
        )
    jobs = [job for seed in content.seeds for name in content.systems for job in _jobs(path, content, name, seed)]
    check_agreement(_planned(path, jobs))
    return Plan(
        name=Path(path).stem,
        title=content.title,
        output=Path(output or content.output),
        finished=Path(path).parent / "finished" / Path(path).stem,
        report=Path(content.report) if content.report else None,
        seeds=content.seeds,
        contrasts=_contrasts(path, content),
        jobs=jobs,
    )


def _contrasts(path: str, content: PlanFile) -> list[tuple[str, str]]:
    for name in (name for pair in content.contrasts or [] for name in pair):
        if name not in content.systems:
            raise UserError(f"{path}: `contrasts` has {name}; {hint(name, content.systems)}")
    return [(one, other) for one, other in content.contrasts or []]


def _planned(path: str, jobs: list[Job]) -> Iterator[tuple[str, Outcome]]:
    """Yields the system and the planned protocol of each evaluation; checks the files that training starts from."""
    kinds = set()
    for job in jobs:
        if not job.after:
            try:
                check_files(job.loaded)
            except UserError as error:
                raise UserError(f"{job.title}: {error}") from error
            continue
        found = planned_outcome(job.resolved)
        run = job.resolved["run"]
        if found is None:
            raise UserError(f"{path}: `evaluations.{job.name}`: results of the task {run['task']} cannot be compared.")
        if len(run.get("test_splits") or []) != 1:
            raise UserError(f"{path}: `evaluations.{job.name}`: run.test_splits of {job.config} must name one split.")
        if (job.system, job.seed, found.kind) in kinds:
            raise UserError(f"{path}: `evaluations.{job.name}` is a second {found.kind}: move it to another plan.")
        kinds.add((job.system, job.seed, found.kind))
        yield job.system, found


def read_plan_file(path: str, catalogue: str | None = None) -> PlanFile:
    """Reads a plan, including its base's keys.

    Args:
        path: the yaml file.
        catalogue: value of the key `catalogue` to use instead of the plan's.

    Raises:
        UserError: the plan or its base is missing, a key is unknown, missing or invalid, or `catalogue` is given to a
            plan without this key.
    """
    content = _merged(Path(path), ())
    if catalogue is not None:
        if "catalogue" not in content:
            raise UserError(f"{path} does not use a catalogue: leave out --catalogue.")
        content.catalogue = catalogue
    try:
        resolved = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{path} cannot be resolved: {reason(error)}.") from error
    return validate(PlanFile, resolved, f"{path}: ")


def _merged(path: Path, extending: tuple[Path, ...]) -> DictConfig:
    """Reads a plan over its base.

    Args:
        path: the plan.
        extending: the plans that extend it, to detect a circle.
    """
    content, base = read_yaml(path, "plan"), None
    if isinstance(content.get("base"), str):
        base = path.parent / content.base
        if base.resolve() in (*extending, path.resolve()):
            raise UserError(f"{path}: `base` leads back to {base}: a plan cannot extend itself.")
    if not base:
        return content
    defaults = _merged(base, (*extending, path.resolve()))
    check_containers(OmegaConf.to_container(content), OmegaConf.to_container(defaults), f"{path}: ")
    merged: Any = OmegaConf.merge(defaults, content)
    return merged


def _jobs(path: str, content: PlanFile, system: str, seed: int) -> Iterator[Job]:
    """Yields the training job of a system with one seed, then its evaluations."""
    section = content.systems[system]
    options = {**(content.training or {}), **(section.options or {}), "run.seed": seed}
    training = Job(system, seed, TRAINING, section.config, tuple(options.items()))
    yield training
    changes = section.evaluations or {}
    for name in changes.keys() - content.evaluations.keys():
        raise UserError(f"{path}: `systems.{system}.evaluations` has {name}; {hint(name, content.evaluations)}")
    for name, entry in content.evaluations.items():
        if name in changes and changes[name] is None:
            continue
        shared, change = entry or EvaluationEntry(), changes.get(name) or EvaluationEntry()
        config = change.config or shared.config
        if not config:
            raise UserError(f"{path}: `evaluations.{name}.config` is not set: name a configuration.")
        options = {**(shared.options or {}), **(change.options or {})}
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


def _catalogues(datasets: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Returns a digest of each catalogue by its root, under the key "catalogues"; nothing if there is none."""
    roots = [data["root"] for data in datasets.values() if data.get("root")]
    folders = {root: find_catalogue(root) for root in roots}
    found = {
        root: _products_digest(folder, (folder / NAME).stat().st_mtime_ns) for root, folder in folders.items() if folder
    }
    return {"catalogues": found} if found else {}


@lru_cache
def _products_digest(folder: Path, written: int) -> str:
    """Returns the digest of a catalogue's products and of the sizes of their photographs, in whatever folder these are.

    Args:
        folder: the catalogue.
        written: when it was written; a new time makes a new digest.
    """
    images, attributes, products = listed_products(folder)
    names = {name for split in products.values() for product in split for name in product["images"]}
    sizes = {name: os.stat(images / name).st_size for name in sorted(names) if (images / name).is_file()}
    return _digest(json.dumps([attributes, products, sizes]).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")
