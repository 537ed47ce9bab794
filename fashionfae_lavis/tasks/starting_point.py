"""Model building for fine-tuning and evaluation, from a checkpoint unless `run.from_scratch` is set."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import open_dict

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.models.guards import model_section

NEEDS_CHECKPOINT = (
    "This task starts from a pre-trained checkpoint: set model.pretrained to one and model.load_pretrained to True, or "
    "run.from_scratch to True to train without one."
)


def starting_checkpoint(model: Mapping[str, Any]) -> tuple[str, str | None]:
    """Returns the key in `model` that names the checkpoint to start from, and its value, or None if it is unused."""
    key = "finetuned" if model.get("load_finetuned", False) else "pretrained"
    return key, model.get(key) if model.get(f"load_{key}", True) else None


def take_vocabulary(model: Any) -> None:
    """Sets `model.vocabulary` to the checkpoint to start from, if it carries its vocabulary.

    Fine-tuning and evaluation use the words that the checkpoint was trained with. Only pre-training learns new ones.

    Args:
        model: the `model` section, an OmegaConf dict.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    _, named = starting_checkpoint(model)
    path = Path(shipped("weights", str(named or "")))
    if path.is_file() and (read_checkpoint(path).get("config") or {}).get("vocabulary") is not None:
        with open_dict(model):
            model.vocabulary = str(path)


def checkpoint_classes(model: Mapping[str, Any]) -> list[str] | None:
    """Returns the classes that the checkpoint to start from distinguishes, None if it does not name them.

    Args:
        model: the `model` section.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    _, named = starting_checkpoint(model)
    path = Path(shipped("weights", str(named or "")))
    classes = model_section(read_checkpoint(path)).get("classes") if path.is_file() else None
    named_all = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return classes if named_all else None


def build_from_checkpoint(cfg: Any, build: Callable[[Any], Any]) -> Any:
    """Builds a model from the checkpoint in `model.pretrained` or, as in LAVIS, `model.finetuned`.

    `run.from_scratch: True`, a baseline, starts where pre-training starts: from the BERT and ViT in `model.bert` and
    `model.vit` if the configuration has them (small, base), else from random weights (mini).

    Args:
        cfg: LAVIS's configuration.
        build: builds the model from `cfg`.

    Raises:
        UserError: no checkpoint is named, or it cannot be read or does not fit.
    """
    model = cfg.model_cfg
    if cfg.run_cfg.get("from_scratch", False):
        with open_dict(model):
            model.update(
                pretrained=None, load_pretrained=bool(model.get("bert") or model.get("vit")), load_finetuned=False
            )
        return build(cfg)
    key, named = starting_checkpoint(model)
    if not named:
        raise UserError(NEEDS_CHECKPOINT)
    try:
        return build(cfg)
    except UserError as error:
        if str(named) not in str(error):
            raise
        raise UserError(
            f"model.{key}: {str(error).rstrip('.')}; set it to a checkpoint of this model_type, or run.from_scratch to "
            "True to train without one."
        ) from error
