"""Extends LAVIS's `load_model` and `load_model_and_preprocess` for the models of this package.

For these models `model_type` may be omitted, or be a checkpoint or a saved model. For LAVIS's own BLIP, ALBEF and CLIP
it may be these too. LAVIS's other models load as before, but an unknown name raises a UserError.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from lavis.common.registry import registry
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import Configured, processing_of
from fashionfae_lavis.models.hub import is_saved, weights_file
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.models.lavis_models import is_lavis_class, open_lavis_model
from fashionfae_lavis.models.vocabulary import CHECKPOINTS
from fashionfae_lavis.suggestions import hint


def extend(lavis: ModuleType) -> None:
    """Replaces both functions in `lavis.models` and wherever `lavis` re-exports them."""
    models = lavis.models
    replaced = {
        "load_model": _with_default_type(_with_saved_models(models.load_model)),
        "load_model_and_preprocess": _with_default_type(
            _with_preprocess_of_checkpoint(models.load_model_and_preprocess, models)
        ),
    }
    for name, extended in replaced.items():
        original = getattr(models, name)
        for module in (models, lavis):
            if getattr(module, name, None) is original:
                setattr(module, name, extended)


def _with_default_type(load: Callable) -> Callable:
    @functools.wraps(load)
    def load_with_default_type(name: str, *args, **kwargs):
        model_class = _model_class(name)
        if issubclass(model_class, Configured | ImageTokenizer) and not args:
            kwargs.setdefault("model_type", model_class.DEFAULT_MODEL_TYPE)
        return load(name, *args, **kwargs)

    return load_with_default_type


def _with_saved_models(load: Callable) -> Callable:
    """Opens saved models and checkpoints of LAVIS's own classes, which know only their types."""

    @functools.wraps(load)
    def load_with_saved_models(name: str, *args, **kwargs):
        path = _file_of(name, kwargs.get("model_type", *args[:1]))
        return load(name, *args, **kwargs) if path is None else _load_saved(path, name, *args, **kwargs)

    return load_with_saved_models


def _load_saved(
    path: Path, name: str, model_type: str, is_eval: bool = False, device: Any = "cpu", checkpoint: str | None = None
):
    model = open_lavis_model(path, name).train(not is_eval)
    if checkpoint is not None:
        model.load_checkpoint(checkpoint)
    return model.to(device)


def _file_of(name: str, model_type: Any) -> Path | None:
    """Returns the checkpoint that `model_type` names for one of LAVIS's own classes, None for its types."""
    model_class = _model_class(name)
    if not isinstance(model_type, str | Path) or not is_lavis_class(model_class):
        return None
    if model_type in getattr(model_class, "PRETRAINED_MODEL_CONFIG_DICT", ()):
        return None
    if is_saved(model_type):
        return weights_file(model_type)
    return Path(model_type) if Path(model_type).suffix in CHECKPOINTS else None


def _with_preprocess_of_checkpoint(load: Callable, models: ModuleType) -> Callable:
    """Takes the processors from the model's configuration, because a checkpoint has no yaml that `load` could find."""

    @functools.wraps(load)
    def load_with_preprocess(name: str, *args, **kwargs):
        own = issubclass(_model_class(name), Configured)
        if not own and not _file_of(name, kwargs.get("model_type", *args[:1])):
            return load(name, *args, **kwargs)
        return _load_with_preprocess(models, name, *args, **kwargs)

    return load_with_preprocess


def _load_with_preprocess(models: ModuleType, name: str, model_type: str, is_eval: bool = False, device: Any = "cpu"):
    model = models.load_model(name, model_type, is_eval=is_eval, device=device)
    if path := _file_of(name, model_type):
        processing = processing_of(read_checkpoint(path).get("config") or {})
        return model, *models.load_preprocess(OmegaConf.create(processing))
    # Use the class of the loaded model, because `fashionfae` opens checkpoints of all FashionFAE models.
    return model, *models.load_preprocess(type(model).config_for(model_type).preprocess)


def _model_class(name: str) -> type:
    model_class = registry.get_model_class(name)
    if model_class is None:
        raise UserError(f'LAVIS has no model called "{name}"; {hint(name, sorted(registry.list_models()))}')
    return model_class
