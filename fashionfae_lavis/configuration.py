"""Loading of a run's configuration, with errors that name the wrong key."""

import argparse
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lavis.common.config import Config
from lavis.common.registry import registry
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fashionfae_lavis.errors import UserError


def load_config(args: argparse.Namespace) -> Config:
    """Loads LAVIS's configuration: the options override the file, which overrides the model and dataset defaults.

    Args:
        args: `cfg_path`, the file, and `options`, a list of KEY=VALUE or None.

    Raises:
        UserError: the file is missing or not yaml, or it names an unknown model, dataset, task or runner.
    """
    path = Path(args.cfg_path)
    if not path.is_file():
        raise UserError(f"There is no configuration file {path} (working directory: {Path.cwd()}).")
    try:
        content = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a yaml configuration: {' '.join(str(error).split())}") from error
    for key in ("model", "datasets", "run"):
        if not isinstance(content, DictConfig) or not content.get(key):
            raise UserError(f"{path} lacks the key `{key}`; projects/fashionfae/pretrain.yaml shows all required keys.")
    bad = [option for option in args.options or [] if "=" not in option]
    if bad:
        raise UserError(f"--options takes KEY=VALUE, such as run.max_iters=100, not {bad[0]!r}.")
    merged = _merge_options(content, args.options or [])
    _check_known("model.arch", merged.model.get("arch"), registry.list_models())
    for name in merged.datasets:
        _check_known("datasets", name, registry.mapping["builder_name_mapping"])
    _check_known("run.task", merged.run.get("task"), registry.list_tasks())
    _check_known("run.runner", merged.run.get("runner", "runner_base"), registry.list_runners())
    return _Config(args)


def _merge_options(content: Any, options: list[str]) -> Any:
    """Merges KEY=VALUE options into the file's content; raises UserError where they do not fit."""
    try:
        merged: Any = OmegaConf.merge(content, OmegaConf.from_dotlist(options))
    except (YAMLError, OmegaConfBaseException, TypeError, ValueError) as error:
        raise UserError(f"--options do not fit the file: {' '.join(str(error).split())}.") from error
    for key in ("model", "datasets", "run"):
        if not isinstance(merged.get(key), DictConfig):
            raise UserError(f"--options: `{key}` is a section; set one of its keys, such as run.max_iters=100.")
    return merged


class _Config(Config):
    """LAVIS's configuration, except that a `model` in the options also selects the model's defaults."""

    @staticmethod
    def build_model_config(config: Any, **options: Any) -> Any:
        chosen = {key: value for key, value in options.get("model", {}).items() if key in ("arch", "model_type")}
        return Config.build_model_config(OmegaConf.merge(config, {"model": chosen}))


def _check_known(key: str, name: str | None, known: Collection[str]) -> None:
    """Raises UserError with a suggestion if a name is unknown."""
    if name in known:
        return
    close = get_close_matches(str(name), list(known))
    registered = " A dataset of your own is known once the module that registers it is imported."
    own = registered if key == "datasets" else ""
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(sorted(known))}."
    raise UserError(f"`{key}`: LAVIS knows no {name!r}; {hint}{own}")
