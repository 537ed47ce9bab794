"""Checks at the start of a run that need the machine: its files and its other processes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lavis.common.config import Config
from lavis.common.registry import registry
from omegaconf import OmegaConf

from fashionfae_lavis.distributed import gather_objects
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.models.encoders import FashionEncoders
from fashionfae_lavis.schema.check import is_ours
from fashionfae_lavis.schema.run import Written
from fashionfae_lavis.schema.validation import show
from fashionfae_lavis.suggestions import nearest
from fashionfae_lavis.tasks.starting_point import NEEDS_CHECKPOINT, starting_checkpoint


def check_files(cfg: Config) -> None:
    """Checks that the files which a run starts from exist, before its data is loaded.

    Raises:
        UserError: a checkpoint is missing, or none is named where the model or the task needs one.
    """
    run, model = cfg.run_cfg, cfg.model_cfg
    resumed = None if run.get("evaluate") else run.get("resume_ckpt_path")
    if resumed and resumed != "auto" and not (Path.cwd() / resumed).is_file():
        raise UserError(f"run.resume_ckpt_path: there is no checkpoint file {Path.cwd() / resumed}.")
    key, start = starting_checkpoint(model)
    if getattr(registry.get_task_class(run.task), "starts_from_checkpoint", False):
        if run.get("from_scratch"):
            start = None
        elif not start:
            raise UserError(NEEDS_CHECKPOINT)
    model_class = registry.get_model_class(model.arch)
    if not is_ours(model_class):
        return  # LAVIS downloads weights from addresses
    if key == "finetuned" and not model.get(key):
        raise UserError("model.load_finetuned is true, but model.finetuned is not set: set it to a checkpoint.")
    hub = issubclass(model_class, FashionEncoders) and model.get("load_pretrained", True) and key == "pretrained"
    if hub and not start and not (model.get("bert") or model.get("vit")) and not run.get("from_scratch"):
        raise UserError(
            f"model.pretrained is not set, and {model.arch} {model.model_type} has neither model.bert nor model.vit: "
            "name a checkpoint, or set model.load_pretrained to False to start from random weights."
        )
    tokenizer = model.get("image_tokenizer") or {}
    files = {f"model.{key}": start, "model.image_tokenizer.weights": tokenizer.get("weights")}
    for name, file in files.items():
        if file and not Path(shipped("weights", file)).is_file():
            meant = nearest(file, os.listdir(shipped("weights", "")))
            ending = f"did you mean {meant}?" if meant else f"the working directory is {Path.cwd()}."
            raise UserError(f"{name}: there is no checkpoint file {file}; {ending}")


def flat_settings(cfg: Config) -> dict[str, Any]:
    """Returns all settings by dotted key, except those that a run sets for each process."""
    content = OmegaConf.to_container(cfg.config, resolve=True)
    own = {f"run.{key}" for key in Written.model_fields}
    return {key: value for key, value in _flatten(content) if key not in own}


def _flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_same_on_all_processes(settings: dict[str, Any]) -> None:
    """Checks that all processes have the same configuration; otherwise they would wait for each other forever.

    Args:
        settings: this process's settings, from `flat_settings`.

    Raises:
        UserError: a setting differs; raised on all processes.
    """
    first, *others = gather_objects(settings)
    for rank, other in enumerate(others, 1):
        for key in {**first, **other}:
            if first.get(key) != other.get(key) or (key in first) != (key in other):
                raise UserError(
                    f"{key} is {show(first.get(key))} on process 0, but {show(other.get(key))} on process {rank}: "
                    "start all processes with the same configuration and options."
                )
