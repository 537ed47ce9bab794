"""Opens a trained model together with the image and text processing that it was trained with."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lavis.models as lavis_models
from lavis.common.registry import registry
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.distributed import find_device
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.integrity import digest
from fashionfae_lavis.models.configuration import Configured
from fashionfae_lavis.models.guards import configuration_of, model_section
from fashionfae_lavis.models.hub import is_saved, weights_file
from fashionfae_lavis.models.lavis_models import is_lavis_class, open_lavis_model
from fashionfae_lavis.models.vocabulary import CHECKPOINTS
from fashionfae_lavis.suggestions import nearest

DIGITS = 16  # of a digest


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model in evaluation mode with its processing.

    Attributes:
        name: opens the same model again; absolute if it is a path.
        model: the model.
        image_processor: maps an RGB image to a tensor (3, S, S).
        text_processor: maps a text to what the model reads.
        digest: hexadecimal SHA-256 of weights, vocabulary and image processing, cut to 16 digits.
    """

    name: str
    model: Any
    image_processor: Callable[[Image.Image], Tensor]
    text_processor: Callable[[str], str]
    digest: str


def open_model(name: str, device: str = "auto") -> OpenedModel:
    """Opens a model for evaluation.

    Args:
        name: a checkpoint of `lavis.train` or an exported one; a folder of `save_pretrained`, or its id on the model
            hub; or a model of LAVIS, `name` or `name:type`, such as `fashionfae`, `fashionfae:base` or `clip:ViT-B-32`.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: there is no such model or device, or a file cannot be read or downloaded.
    """
    place, path = find_device(device, "--device"), Path(name)
    arch, _, model_type = name.partition(":")
    try:
        if registry.get_model_class(arch) is not None:
            model, processing = _of_registry(arch, model_type)
        else:
            path = _checkpoint(path)
            model, processing = _of_checkpoint(str(path))
            name = str(path.absolute())
    except OSError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"A file that {name} needs could not be downloaded ({reason}): go online.") from error
    image_processing = processing["vis_processor"]["eval"]
    if image_processing is None:
        raise UserError(f"{name} does not say how it processes images: use another type or checkpoint of the model.")
    with configuration_of(name):
        images, texts = lavis_models.load_preprocess(OmegaConf.create(processing))
    key = model_digest(model, image_processing)
    return OpenedModel(name, model.eval().to(place), images["eval"], texts["eval"], key)


def model_digest(model: Any, image_processing: Mapping[str, Any]) -> str:
    """Returns the digest of a model's weights, vocabulary and image processing.

    It leaves out LAVIS's queues of past embeddings, which start at random and affect no embedding.

    Args:
        model: the model, on the CPU.
        image_processing: configuration of its image processor.
    """
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if "queue" not in name}
    pieces: Any = getattr(model, "word_pieces", None) or getattr(model, "tokenizer", None)
    words = pieces.get_vocab() if hasattr(pieces, "get_vocab") else {}
    described = {"vocabulary": words, "image": image_processing}
    return digest(weights, {key: json.dumps(value, sort_keys=True) for key, value in described.items()})[:DIGITS]


def _checkpoint(path: Path) -> Path:
    """Returns the checkpoint file of a path, which may be a saved model or its id on the hub."""
    if is_saved(path):
        return weights_file(path)
    if path.is_file() or path.suffix in CHECKPOINTS or len(path.parts) > 1:
        return path  # `read_checkpoint` reports a missing file
    meant = nearest(str(path).partition(":")[0], registry.list_models())
    mend = f"did you mean {meant}?" if meant else "name a checkpoint file, or a model such as fashionfae."
    raise UserError(f"There is no checkpoint, folder or model {path}: {mend}")


def _of_registry(arch: str, model_type: str) -> tuple[Any, dict[str, Any]]:
    """Loads a model by its names in LAVIS; returns it with the configuration of its processing."""
    model_class = registry.get_model_class(arch)
    types = list(getattr(model_class, "PRETRAINED_MODEL_CONFIG_DICT", {}))
    model_type = model_type or getattr(model_class, "DEFAULT_MODEL_TYPE", "")
    if model_type not in types:
        named = f"has no type {model_type!r}" if model_type else "needs a type"
        options = " or ".join(f"{arch}:{each}" for each in types) or "another model"
        raise UserError(f"The model {arch} {named}: use {options}.")
    model = lavis_models.load_model(arch, model_type, is_eval=True)
    config = OmegaConf.load(model_class.default_config_path(model_type))
    return model, _processing(OmegaConf.to_container(config, resolve=True))


def _of_checkpoint(path: str) -> tuple[Any, dict[str, Any]]:
    """Builds the model of a checkpoint; returns it with the configuration of its processing."""
    content = read_checkpoint(path)
    section = model_section(content)
    model_class = registry.get_model_class(str(section.get("arch")))
    if model_class is None:
        raise UserError(f"{path} names no model in `model.arch`: use a checkpoint of `lavis.train`.")
    if issubclass(model_class, Configured):
        model: Any = model_class.from_pretrained(path)
        with configuration_of(path):
            defaults: Any = OmegaConf.to_container(model_class.config_for(path), resolve=True)
            return model, _processing({**defaults, **content["config"]})
    if is_lavis_class(model_class):
        return open_lavis_model(path).float(), _processing(content["config"])
    with configuration_of(path):
        # LAVIS's classes load the checkpoint in `finetuned`, or else download the weights that the run started from.
        model = model_class.from_config(OmegaConf.create({**section, "load_finetuned": True, "finetuned": path}))
        processing = _processing(content["config"])
    load_weights(model, content["model"], path)
    return model.float(), processing


def _processing(config: Any) -> dict[str, Any]:
    """Returns the processing of evaluation: that of the first dataset or, without datasets, the model's own.

    Args:
        config: configuration with a section `datasets` or `preprocess`.
    """
    datasets = list((config.get("datasets") or {}).values())
    section = datasets[0] if datasets and "vis_processor" in datasets[0] else config.get("preprocess") or {}
    sides = ("vis_processor", "text_processor")
    return {side: {"eval": (section.get(side) or {}).get("eval")} for side in sides}
