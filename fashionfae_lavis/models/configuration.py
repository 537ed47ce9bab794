"""Model configurations: their files, and the configuration of a model type or of a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lavis.common.registry import registry
from omegaconf import DictConfig, OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.guards import configuration_of
from fashionfae_lavis.models.hub import is_saved, weights_file
from fashionfae_lavis.suggestions import hint

PACKAGE = Path(__file__).resolve().parent.parent


def model_config_path(name: str) -> str:
    """Returns the absolute path of a configuration, which LAVIS can join with its library root without changing it."""
    return str(PACKAGE / "configs" / "models" / f"{name}.yaml")


def shipped(folder: str, name: str) -> str:
    """Returns the path of a file or folder in the package, or `name` itself if there is none (a path or a hub id)."""
    path = PACKAGE / folder / name
    return str(path) if path.exists() else str(name)


def known_config_path(model_cls: type["Configured"], model_type: str) -> str:
    """Returns the path of a model type's configuration.

    Raises:
        UserError: the class has no such type.
    """
    types = model_cls.PRETRAINED_MODEL_CONFIG_DICT
    if model_type in types:
        return types[model_type]
    raise UserError(
        f'Unknown model type "{model_type}"; {hint(model_type, types)} Use one of {", ".join(types)}, the path of a '
        "checkpoint or saved model, or the id of a saved model on the hub."
    )


def load_model_config(model_cls: type["Configured"], model_type: str | None) -> DictConfig:
    """Loads the configuration (`model` and `preprocess`) of a model type, of a checkpoint or of a saved model.

    Images and texts are processed as the checkpoint's run evaluated them.

    Args:
        model_cls: class of the model.
        model_type: a type of the class, the path of a checkpoint, a saved model (see hub.py), or None for the default
            type.

    Raises:
        UserError: the type is unknown, the checkpoint holds no configuration, or the saved model cannot be read.
    """
    model_type = model_type or model_cls.DEFAULT_MODEL_TYPE
    if model_type not in model_cls.PRETRAINED_MODEL_CONFIG_DICT and is_saved(model_type):
        model_type = str(weights_file(model_type))
    if Path(model_type).suffix not in (".pth", ".safetensors") and not Path(model_type).is_file():
        return _load(known_config_path(model_cls, model_type))
    config = read_checkpoint(model_type).get("config") or {}
    if "model" not in config:
        raise UserError(f"{model_type} holds no model configuration: use a checkpoint of this package.")
    with configuration_of(model_type):
        base = _load(known_config_path(model_cls, config["model"].get("model_type")))
        # Top-level keys are replaced whole, not merged: a part that lacks a key in the checkpoint was built without it.
        merged = OmegaConf.create({**base, "model": {**base.model, **config["model"]}})
        # Load the weights of this checkpoint, not the ones that its run started from.
        merged.model.update(load_finetuned=True, finetuned=str(model_type))
        if not isinstance(merged.model.arch, str):
            raise UserError(f"{model_type} names no model in `model.arch`: use another checkpoint.")
        if "image_tokenizer" in merged.model:
            merged.model.image_tokenizer.weights = None
        for side, processor in processing_of(config).items():
            merged.preprocess[side].eval = processor["eval"]
        return merged


def processing_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the processing of evaluation in a checkpoint's configuration: `vis_processor` and `text_processor`.

    Args:
        config: the configuration. Its first dataset counts before `preprocess`, which holds the model's defaults.

    Raises:
        UserError: it names an unknown processor.
    """
    sections = [*(config.get("datasets") or {}).values(), config.get("preprocess") or {}]
    found = {}
    for side in ("vis_processor", "text_processor"):
        stated = [(section.get(side) or {}).get("eval") for section in sections]
        processor = next(filter(None, stated), None)
        if processor and registry.get_processor_class(processor["name"]) is None:
            raise UserError(
                f"There is no processor {processor['name']!r}, which the checkpoint names: register it first."
            )
        if processor:
            found[side] = {"eval": processor}
    return found


class Configured:
    """Mixin that accepts configurations of this package and checkpoints as model types.

    List it before the LAVIS model class.

    Attributes:
        PRETRAINED_MODEL_CONFIG_DICT: model type -> path of its configuration; set by the subclass.
    """

    DEFAULT_MODEL_TYPE = "mini"
    PRETRAINED_MODEL_CONFIG_DICT: dict[str, str]

    @classmethod
    def config_for(cls, model_type: str | None) -> DictConfig:
        """Loads the configuration of a model type or checkpoint; see `load_model_config`."""
        return load_model_config(cls, model_type)

    @classmethod
    def default_config_path(cls, model_type: str) -> str:
        """Returns the path of a model type's configuration, for LAVIS; an unknown type raises UserError."""
        return known_config_path(cls, model_type)


def _load(path: str) -> DictConfig:
    return cast(DictConfig, OmegaConf.load(path))
