"""Loading of a run's configuration: file, options and defaults, checked before anything else is loaded."""

import argparse
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lavis.common.config import Config
from lavis.common.registry import registry
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.schema.check import check_configuration
from fashionfae_lavis.schema.validation import show, unknown_key
from fashionfae_lavis.suggestions import hint
from fashionfae_lavis.yaml_file import MAX_DEPTH, UNREADABLE, check_depth, read_yaml, reason

REQUIRED = ("model", "datasets", "run")
SECTIONS = (*REQUIRED, "preprocess")


class LoadedConfig(Config):
    """LAVIS's configuration, from a configuration that is already merged and checked."""

    def __init__(self, config: DictConfig):
        self.config = config
        registry.register("configuration", self)


def load_config(args: argparse.Namespace, evaluate: bool = False) -> Config:
    """Loads and checks a configuration: the options override the file, which overrides model and dataset defaults.

    Args:
        args: `cfg_path`, the file, and `options`, a list of KEY=VALUE or None.
        evaluate: whether to evaluate without training, which needs fewer settings.

    Returns:
        LAVIS's configuration, without interpolations.

    Raises:
        UserError: the file or an option cannot be read, or `check_configuration` finds a mistake.
    """
    path = Path(args.cfg_path)
    given = read_yaml(path)
    apply_options(given, args.options or [])
    try:
        check_sections(given, path)
        check_names(given)
        defaults: Any = OmegaConf.merge(*map(read_defaults, default_files(given)))
        check_containers(OmegaConf.to_container(given), OmegaConf.to_container(defaults))
        merged: Any = OmegaConf.to_container(OmegaConf.merge(defaults, given), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        where = f"{error.full_key} of " if error.full_key else ""
        raise UserError(f"{where}{path} cannot be resolved: {reason(error)}.") from error
    check_configuration(merged, evaluate)
    return LoadedConfig(OmegaConf.create(merged))


def check_sections(given: DictConfig, path: Path) -> None:
    """Raises UserError if a section is unknown, missing or empty."""
    for key in given:
        if key not in SECTIONS:
            raise unknown_key(f"{path}: ", key, SECTIONS)
    for key in REQUIRED:
        section = None if OmegaConf.is_missing(given, key) else given.get(key)
        if not isinstance(section, DictConfig) or not section:
            raise UserError(f"{path} lacks the section `{key}`; projects/fashionfae/pretrain.yaml shows all sections.")


def check_containers(given: Any, defaults: Any, where: str = "") -> None:
    """Checks that no list replaces a mapping of the defaults, or the other way round, which OmegaConf cannot merge.

    Raises:
        UserError: a setting is of the other kind.
    """
    for key, value in given.items():
        default = defaults.get(key)
        if isinstance(default, dict) and isinstance(value, dict):
            check_containers(value, default, f"{where}{key}.")
        elif isinstance(default, dict | list) and isinstance(value, dict | list) and type(default) is not type(value):
            raise UserError(f"{where}{key} must be a {'mapping' if isinstance(default, dict) else 'list'}.")


def apply_options(content: DictConfig, options: Sequence[str]) -> None:
    """Sets KEY=VALUE options in the content of a file; values are yaml.

    Raises:
        UserError: an option has another form, its value is not yaml, or its key does not fit the file.
    """
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--options takes KEY=VALUE, such as run.max_iters=100, not {show(option)}.")
        if key in REQUIRED:
            raise UserError(f"--options: `{key}` is a section; set one of its keys, such as run.max_iters=100.")
        try:
            check_depth(value)
            if key.count(".") + key.count("[") > MAX_DEPTH:
                raise ValueError(f"the key is nested more than {MAX_DEPTH} levels deep")
            content.merge_with_dotlist([option])
        except UNREADABLE as error:
            raise UserError(f"--options: {option[:100]!r} does not fit the file: {reason(error)}.") from error


def check_names(given: DictConfig) -> None:
    """Checks that LAVIS knows the model, its type, the datasets, the task and the runner.

    Raises:
        UserError: a name is not set or unknown.
    """
    arch = given.model.get("arch")
    check_known("model.arch", arch, registry.list_models())
    for name in given.datasets:
        check_known("datasets", name, registry.mapping["builder_name_mapping"])
        section = given.datasets.get(name)
        if not isinstance(section, DictConfig):
            raise UserError(f"datasets.{name} must be a mapping, such as {{}} for all defaults.")
        builder = registry.get_builder_class(name)
        check_known(
            f"datasets.{name}.type", section.get("type", "default"), builder.DATASET_CONFIG_DICT, of=f"{name} has"
        )
    check_known("run.task", given.run.get("task"), registry.list_tasks())
    check_known("run.runner", given.run.get("runner", "runner_base"), registry.list_runners())


def check_known(key: str, name: Any, known: Collection[str], of: str = "LAVIS knows") -> None:
    """Raises UserError with a suggestion if a name is not set or unknown."""
    if isinstance(name, str) and name in known:
        return
    registered = " A dataset of your own is known once the module that registers it is imported."
    own = registered if key == "datasets" else ""
    if name is None:
        names = f"one of {', '.join(sorted(known))}" if 0 < len(known) <= 20 else "a name that LAVIS knows"
        raise UserError(f"`{key}` is not set: set it to {names}.")
    if not isinstance(name, str):
        raise UserError(f"`{key}` is {show(name)}, but must be a name.")
    raise UserError(f"`{key}`: {of} no {show(name)}; {hint(name, sorted(known))}{own}")


@cache
def read_defaults(path: str) -> Any:
    """Reads a file of defaults once, because a comparison loads dozens of configurations; do not change the result."""
    return OmegaConf.load(path)


def default_files(given: DictConfig) -> list[str]:
    """Returns the paths of the yaml files with the defaults of the model and of each dataset.

    Raises:
        UserError: the model has no such type.
    """
    arch, model_type = given.model.arch, given.model.get("model_type")
    model = registry.get_model_class(arch)
    types = getattr(model, "PRETRAINED_MODEL_CONFIG_DICT", {})
    if not isinstance(model_type, str):
        check_known("model.model_type", model_type, types)
    try:
        model_file = model.default_config_path(model_type=model_type)
    except (AssertionError, KeyError, UserError):  # CLIP has more types than its dictionary lists
        check_known("model.model_type", model_type, types, of=f"{arch} has")
        raise
    dataset_files = [
        registry.get_builder_class(name).default_config_path(type=section.get("type", "default"))
        for name, section in given.datasets.items()
    ]
    return [model_file, *dataset_files]
