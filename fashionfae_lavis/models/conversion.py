"""Conversion of checkpoint files between the authors' code and this package; authors_layout.py maps the keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavis.common.registry import registry
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor
from yaml import YAMLError

from fashionfae_lavis.checkpoints import (
    find_state,
    load_weights,
    read_checkpoint,
    read_file,
    save_atomically,
    save_safetensors,
)
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE, ImageTokenizer
from fashionfae_lavis.models.authors_layout import (
    DECODER,
    KINDS,
    SCALE,
    authors_state,
    check,
    kind_of,
    left_out,
    our_state,
)
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.models.guards import configuration_of, model_section
from fashionfae_lavis.models.vocabulary import carried, load_tokenizer

# Key under which an exported file keeps the configuration for a later import. The authors' code ignores it.
OUR_CONFIG = "fashionfae_config"
OUR_VOCABULARY = "fashionfae_vocabulary"  # likewise, the vocabulary
WORDS = "model.bert.embeddings.word_embeddings.weight"


@dataclass
class Conversion:
    """The result of a conversion.

    Attributes:
        kind: kind of the authors' model, a key of `KINDS`.
        used: names in the source whose weights were converted.
        left_out: name in the source that was dropped -> the reason.
        filled: name in the result that the source lacks -> the value it was given and why.
    """

    kind: str
    used: list[str]
    left_out: dict[str, str]
    filled: dict[str, str]

    @property
    def arch(self) -> str:
        """Registered name of this package's model."""
        return KINDS[self.kind].arch


def import_checkpoint(
    source: str,
    target: str,
    config: str | None = None,
    vocabulary: str | None = None,
    encoders_only: bool = False,
    trust_pickle: bool = False,
) -> Conversion:
    """Converts a checkpoint of the authors' code to a file that `load_model("fashionfae", target)` opens.

    Args:
        source: a file of MMF, with or without DDP's prefix `module.`, or a bare state dict.
        target: file to write, .safetensors or .pth.
        config: `base`, `small`, `mini` or a yaml file whose `model` section gives the sizes. Default: the sizes in an
            exported file, else `base`, the authors' sizes.
        vocabulary: hub id or local folder that replaces the vocabulary of `config`.
        encoders_only: drops all heads, even unknown ones, and writes a retrieval model.
        trust_pickle: see `read_file`.

    Returns:
        What was converted and what was dropped.

    Raises:
        UserError: the file cannot be read or does not come from the authors' code, or a tensor is missing, unknown or
            of another shape.
    """
    _check_suffix(target, (".safetensors", ".pth"))
    content = read_file(source, trust_pickle)
    state = find_state(content, source)
    kind = "contrastive" if encoders_only else kind_of(state, source)
    with configuration_of(config or source):
        cfg = _configuration(config or content.get(OUR_CONFIG, "base"))
        if vocabulary:
            cfg.vocabulary = vocabulary
            _check_vocabulary(vocabulary, state)
        model, cfg = _build(kind, cfg, state)
    check(state, authors_state(model.state_dict(), kind), kind, source)
    load_weights(model, our_state(state, kind), source)
    ours = {"model": OmegaConf.to_container(cfg)}
    if words := _carried(cfg.get("vocabulary"), None if vocabulary else content.get(OUR_VOCABULARY)):
        ours["vocabulary"] = words
    if target.endswith(".safetensors"):
        save_safetensors(model.state_dict(), ours, target)
    else:
        save_atomically({"model": model.state_dict(), "config": ours}, target)
    dropped = left_out(state, kind)
    return Conversion(kind, [name for name in state if name not in dropped], dropped, {})


def export_checkpoint(source: str, target: str) -> Conversion:
    """Converts a checkpoint of this package to the authors' layout, `{"model": state dict}`.

    Args:
        source: checkpoint of this package, .safetensors or .pth.
        target: file to write, .pth, .ckpt or .pt.

    Returns:
        What was converted, dropped and filled in.

    Raises:
        UserError: the file cannot be read, does not name its model, or cannot be written.
    """
    _check_suffix(target, (".pth", ".ckpt", ".pt"))
    content = read_checkpoint(source)
    config = content.get("config") or {}
    arch = model_section(content).get("arch")
    kind = next((kind for kind, facts in KINDS.items() if facts.arch == arch), None)
    if kind is None:
        raise UserError(
            f"{source} does not name a model that exists in the authors' code: export a FashionFAE checkpoint of this "
            "package."
        )
    state = content["model"]
    dropped = {name: "the authors' image tokenizer has no decoder" for name in state if name.startswith(DECODER)}
    filled = {
        name: f"{'4.0' if name == SCALE else 'zeros'}, as this package has no such weight: {reason}"
        for name, reason in KINDS[kind].unread.items()
    }
    kept = {"image_tokenizer": config["model"]} if kind == "image_tokenizer" else config["model"]
    exported = {"model": authors_state(state, kind), OUR_CONFIG: kept}
    if vocabulary := config.get("vocabulary"):
        exported[OUR_VOCABULARY] = vocabulary
    save_atomically(exported, target)
    return Conversion(kind, [name for name in state if name not in dropped], dropped, filled)


def _configuration(config: str | dict[str, Any]) -> Any:
    """Merges a `model` section (a model type, a yaml file or a dict) into the `model` section of `base`."""
    types = FashionFAE.PRETRAINED_MODEL_CONFIG_DICT
    base = OmegaConf.load(types["base"]).model
    if isinstance(config, dict):
        return OmegaConf.merge(base, config)
    try:
        return OmegaConf.merge(base, OmegaConf.load(types.get(config, config)).model)
    except (OSError, YAMLError, OmegaConfBaseException, ValueError) as error:  # ValueError: not text, or a null byte
        raise UserError(
            f"{config!r} is neither a model type ({', '.join(types)}) nor a yaml file with a `model` section."
        ) from error


def _build(kind: str, cfg: Any, state: dict[str, Tensor]) -> tuple[Any, Any]:
    """Builds this package's model of a kind with random weights, and the `model` section to save with it."""
    cfg.arch = KINDS[kind].arch
    cfg.pretrained = None
    cfg.image_tokenizer.update(decoder=False, weights=None)
    if kind == "image_tokenizer":
        sizes: Any = OmegaConf.merge(cfg.image_tokenizer, {"arch": cfg.arch, "model_type": cfg.model_type})
        return ImageTokenizer.from_config(sizes), sizes
    if kind == "classification" and "model.classifier.1.bias" in state:
        cfg.num_classes = len(state["model.classifier.1.bias"])
    # If the word embeddings are missing, `check` reports it.
    vocab_size = len(state[WORDS]) if WORDS in state else 1
    return registry.get_model_class(cfg.arch).build(cfg, None, vocab_size), cfg


def _carried(name: str | None, text: str | None) -> str | None:
    """Returns the vocabulary for the checkpoint to carry: `text`, else that of a folder; None without or of the hub."""
    if text is not None and not isinstance(text, str):
        raise UserError(f"{OUR_VOCABULARY} in the checkpoint is a {type(text).__name__}: use another copy of the file.")
    if text or not name:
        return text
    return carried(load_tokenizer(name)) if Path(shipped("vocabularies", name)).is_dir() else None


def _check_vocabulary(vocabulary: str, state: dict[str, Tensor]) -> None:
    size = len(load_tokenizer(vocabulary))
    if WORDS in state and len(state[WORDS]) != size:
        raise UserError(
            f"The vocabulary {vocabulary} has {size} word pieces, but the checkpoint has {len(state[WORDS])}: use the "
            "vocabulary that it was trained with."
        )


def _check_suffix(path: str, suffixes: tuple[str, ...]) -> None:
    if Path(path).suffix not in suffixes:
        raise UserError(f"The file to write, {path}, must end in {' or '.join(suffixes)}.")
