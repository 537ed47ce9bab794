"""LAVIS's `load_model` and `load_model_and_preprocess`, which know a little more about our models.

A model class of ours names a `DEFAULT_MODEL_TYPE`, so that `model_type` may be left out, and takes the path
of a checkpoint as `model_type` in `from_pretrained(model_type)` and `config_for(model_type)`. Other models of
LAVIS behave as before, except that an unknown name is answered with a sentence.
"""

import difflib
import functools

from lavis.common.registry import registry

from fashionfae_lavis.errors import UserError


def extend(lavis) -> None:
    """Puts the extended functions into `lavis.models` and wherever `lavis` re-exports them."""
    models = lavis.models
    replaced = {
        models.load_model: _with_default_type(models.load_model),
        models.load_model_and_preprocess: _with_default_type(
            _with_own_config(models.load_model_and_preprocess, models)
        ),
    }
    for original, extended in replaced.items():
        for module in (models, lavis):
            if getattr(module, original.__name__, None) is original:
                setattr(module, original.__name__, extended)


def _with_default_type(load):
    @functools.wraps(load)
    def load_with_default_type(name, *args, **kwargs):
        default = getattr(_model_class(name), "DEFAULT_MODEL_TYPE", None)
        if default is not None and not args:
            kwargs.setdefault("model_type", default)
        return load(name, *args, **kwargs)

    return load_with_default_type


def _with_own_config(load, models):
    """`load` looks for the processors in the yaml of a `model_type`; a checkpoint has none, only a config."""

    @functools.wraps(load)
    def load_with_own_config(name, *args, **kwargs):
        model_class = _model_class(name)
        if not hasattr(model_class, "config_for"):
            return load(name, *args, **kwargs)
        return _load_ours(models, name, *args, **kwargs)

    return load_with_own_config


def _load_ours(models, name, model_type, is_eval=False, device="cpu"):
    model = models.load_model(name, model_type, is_eval=is_eval, device=device)
    # Its own class: `fashionfae` opens checkpoints of the whole family.
    return model, *models.load_preprocess(type(model).config_for(model_type).preprocess)


def _model_class(name):
    model_class = registry.get_model_class(name)
    if model_class is None:
        names = sorted(registry.list_models())
        close = difflib.get_close_matches(str(name), names) or names
        raise UserError(f'LAVIS has no model called "{name}"; close to it: {", ".join(close)}.')
    return model_class
