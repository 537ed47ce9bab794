"""Extends LAVIS's `load_model` and `load_model_and_preprocess` for the models of this package.

For these models `model_type` may be omitted, or be the path of a checkpoint. LAVIS's other models load as before, but
an unknown name raises a UserError.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from lavis.common.registry import registry

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import Configured
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.suggestions import hint


def extend(lavis: ModuleType) -> None:
    """Replaces both functions in `lavis.models` and wherever `lavis` re-exports them."""
    models = lavis.models
    replaced = {
        "load_model": _with_default_type(models.load_model),
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


def _with_preprocess_of_checkpoint(load: Callable, models: ModuleType) -> Callable:
    """Takes the processors from the model's configuration, because a checkpoint has no yaml that `load` could find."""

    @functools.wraps(load)
    def load_with_preprocess(name: str, *args, **kwargs):
        if not issubclass(_model_class(name), Configured):
            return load(name, *args, **kwargs)
        return _load_configured(models, name, *args, **kwargs)

    return load_with_preprocess


def _load_configured(models: ModuleType, name: str, model_type: str, is_eval: bool = False, device: Any = "cpu"):
    model = models.load_model(name, model_type, is_eval=is_eval, device=device)
    # Use the class of the loaded model, because `fashionfae` opens checkpoints of all FashionFAE models.
    return model, *models.load_preprocess(type(model).config_for(model_type).preprocess)


def _model_class(name: str) -> type:
    model_class = registry.get_model_class(name)
    if model_class is None:
        raise UserError(f'LAVIS has no model called "{name}"; {hint(name, sorted(registry.list_models()))}')
    return model_class
