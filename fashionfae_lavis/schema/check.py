"""The check of a whole configuration."""

from collections.abc import Mapping
from typing import Any

from lavis.common.registry import registry

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.schema import consistency, datasets, models
from fashionfae_lavis.schema.run import Run, first_stage
from fashionfae_lavis.schema.sizes import check_model
from fashionfae_lavis.schema.validation import check_misspellings, validate


def check_configuration(config: Mapping[str, Any], evaluate: bool) -> None:
    """Checks a configuration with its defaults, without reading data or weights.

    A section of LAVIS, or of a class that a user registered, may have keys that this package does not know. In the
    sections of LAVIS such a key is an error if it looks like a misspelling of a known one.

    Args:
        config: the sections `model`, `datasets`, `run` and optionally `preprocess`, in plain containers. The names of
            model, datasets, task and runner are registered.
        evaluate: whether to evaluate without training.

    Raises:
        UserError: a key is unknown or has a value that it cannot have, or settings do not fit each other.
    """
    strict = _all_keys_known(config["run"])
    run = _check_run(config["run"], "run", strict)
    model = _check_model(config["model"])
    data = {name: _check_dataset(name, section) for name, section in config["datasets"].items()}
    if "preprocess" in config and model:
        validate(datasets.Preprocess, config["preprocess"], "preprocess")
    if not (evaluate or run.evaluate):
        consistency.check_training(run, "run")
        consistency.check_ratios(run, data)
        consistency.check_gradient_cache(run, data)
        if run.image_tokenizer:
            consistency.check_stage(run, config["model"])
            stage = _check_run(first_stage(config["run"]), "run.image_tokenizer", strict)
            consistency.check_training(stage, "run.image_tokenizer")
    consistency.check_evaluation(run)
    consistency.check_task(run, data)
    consistency.check_recognition(run, data)
    consistency.check_splits(run, data)
    if model:
        consistency.check_classes(run, model)
        consistency.check_image_sizes(model, data)
        if not (evaluate or run.evaluate):
            consistency.check_queue(run, model)


def is_ours(registered: type) -> bool:
    """Returns whether a registered class belongs to this package."""
    return registered.__module__.startswith("fashionfae_lavis.")


def is_of_lavis(registered: type) -> bool:
    """Returns whether a registered class belongs to LAVIS."""
    return registered.__module__.startswith("lavis.")


def _all_keys_known(run: Mapping[str, Any]) -> bool:
    """Returns whether the schema has every key of `run` that can have an effect."""
    task, runner = registry.get_task_class(run["task"]), registry.get_runner_class(run.get("runner", "runner_base"))
    return is_ours(runner) and (is_ours(task) or is_of_lavis(task))


def _check_run(section: Mapping[str, Any], where: str, strict: bool) -> Run:
    """Checks the types of all known keys, and that there are no others if `strict`, else none that look like them."""
    if strict:
        return validate(Run, section, where)
    check_misspellings(section, Run.model_fields, where)
    return validate(Run, {key: value for key, value in section.items() if key in Run.model_fields}, where)


def _check_model(section: Mapping[str, Any]) -> models.Model | None:
    """Checks the `model` section; returns None for a model that is not of this package."""
    arch = section["arch"]
    registered = registry.get_model_class(arch)
    if is_ours(registered):
        model = validate(models.MODELS[arch], section, "model", arch)
        check_model(model)
        return model
    if is_of_lavis(registered):
        check_misspellings(section, models.OF_LAVIS, "model")
    return None


def _check_dataset(name: str, section: Any) -> datasets.Data | None:
    """Checks a section of `datasets`; returns None for a dataset that is not of this package."""
    where = f"datasets.{name}"
    section = _mapping(section, where)
    registered = registry.get_builder_class(name)
    if is_ours(registered):
        data = validate(datasets.DATASETS[name], section, where, name)
        consistency.check_dataset(name, data)
        return data
    if is_of_lavis(registered):
        check_misspellings(section, datasets.OF_LAVIS, where)
    return None


def _mapping(section: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(section, Mapping):
        raise UserError(f"{where} must be a mapping, such as {{}} for all defaults.")
    return section
