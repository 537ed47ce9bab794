"""Where the model configurations lie, and how a model type or a checkpoint becomes one."""

from difflib import get_close_matches
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent


def model_config_path(name: str) -> str:
    """Absolute path, which LAVIS's join with its own library root leaves as it is."""
    return str(PACKAGE / "configs" / "models" / f"{name}.yaml")


def shipped(folder: str, name: str) -> str:
    """The file or folder of this name that ships with the package, else the name itself (a path or a hub id)."""
    path = PACKAGE / folder / name
    return str(path) if path.exists() else str(name)


def known_config_path(model_cls, model_type: str) -> str:
    """Path of the configuration of a model type; UserError for one that the class does not have."""
    types = model_cls.PRETRAINED_MODEL_CONFIG_DICT
    if model_type in types:
        return types[model_type]
    close = get_close_matches(str(model_type), types, 1)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    raise UserError(
        f'Unknown model type "{model_type}"{hint}: use one of {", ".join(types)}, or the path of a checkpoint.'
    )


def load_model_config(model_cls, model_type: str | None) -> DictConfig:
    """Configuration with `model` and `preprocess` of a model type (None: the default), or of a checkpoint's path.

    Raises:
        UserError: neither a known type nor a checkpoint that says what it is of.
    """
    model_type = model_type or model_cls.DEFAULT_MODEL_TYPE
    if Path(model_type).suffix not in (".pth", ".safetensors") and not Path(model_type).is_file():
        return OmegaConf.load(known_config_path(model_cls, model_type))
    config = read_checkpoint(model_type).get("config") or {}
    if "model" not in config:
        raise UserError(f"{model_type} holds no model configuration, so it is not one of our checkpoints.")
    base = OmegaConf.load(known_config_path(model_cls, config["model"].get("model_type")))
    # Key by key, but each part whole: what a part of the checkpoint does not name, it does not have.
    merged = OmegaConf.create({**base, "model": {**base.model, **config["model"]}})
    # The checkpoint's own weights replace whatever its run started from.
    merged.model.update(load_finetuned=True, finetuned=str(model_type))
    if "image_tokenizer" in merged.model:
        merged.model.image_tokenizer.weights = None
    return merged


class Configured:
    """To be put before a model class of LAVIS: its model types are ours, and a checkpoint is one too.

    A subclass sets `PRETRAINED_MODEL_CONFIG_DICT`, model type -> path of its configuration.
    """

    DEFAULT_MODEL_TYPE = "mini"

    @classmethod
    def config_for(cls, model_type: str | None) -> DictConfig:
        """Configuration (`model`, `preprocess`) of a model type, or of the run that a checkpoint at this path is of."""
        return load_model_config(cls, model_type)

    @classmethod
    def default_config_path(cls, model_type: str) -> str:
        """Path of a model type's configuration, for LAVIS; an unknown type is a UserError."""
        return known_config_path(cls, model_type)
