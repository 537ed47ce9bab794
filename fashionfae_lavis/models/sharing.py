"""Models to hand on: what `fashionfae publish` and `fashionfae export-onnx` open, of this package or LAVIS's own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavis.common.registry import registry
from lavis.common.utils import get_abs_path
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.models.card import Facts
from fashionfae_lavis.models.configuration import processing_of
from fashionfae_lavis.models.guards import model_section
from fashionfae_lavis.models.lavis_models import BERT, OPENAI, is_lavis_class, open_lavis_model
from fashionfae_lavis.models.portable_tokenizers import END, START, backend
from fashionfae_lavis.models.saving import Savable, named_file, open_any, without_paths, write_folder
from fashionfae_lavis.models.vocabulary import carried


@dataclass(frozen=True, eq=False)
class SharedModel:
    """A model with the configuration that others need.

    Attributes:
        model: the model.
        config: `model`, its section without paths, and `preprocess`, the processing of evaluation.
    """

    model: Any
    config: Mapping[str, Any]

    @property
    def arch(self) -> str:
        """Name that opens the model."""
        return str(self.config["model"]["arch"])

    @property
    def processing(self) -> Mapping[str, Mapping[str, Any]]:
        """`vis_processor` and `text_processor` of evaluation."""
        found: Mapping[str, Mapping[str, Any]] = self.config["preprocess"]
        return found

    def save(self, folder: str | Path, name: str | None = None, **facts: Any) -> None:
        """Writes weights, configuration, vocabulary and model card to a folder; see `Savable.save_pretrained`."""
        if isinstance(self.model, Savable):
            self.model.save_pretrained(folder, name, **facts)
            return
        text, pieces = _vocabulary(self.model)
        write_folder(self.model.state_dict(), self.config, text, pieces, Path(folder), name, Facts(**facts))


def open_shared(name: str) -> SharedModel:
    """Opens a model type of FashionFAE, a checkpoint or a saved model.

    Raises:
        UserError: there is no such model, or it is none of this package and none of LAVIS's BLIP, ALBEF and CLIP.
    """
    path = Path(named_file(name))
    content = read_checkpoint(path) if path.is_file() else {}
    config, section = content.get("config") or {}, model_section(content)
    if not is_lavis_class(registry.get_model_class(str(section.get("arch")))):
        model = open_any(name)
        return SharedModel(model, model.shared_configuration())
    model, processing = open_lavis_model(path), processing_of(config)
    if "vis_processor" not in processing:
        raise UserError(f"{name} does not say how it processes images: use a checkpoint of `lavis.train`.")
    sides = {side: processing.get(side, {"eval": None}) for side in ("vis_processor", "text_processor")}
    return SharedModel(model, {"model": _section(model, section), "preprocess": sides})


def _section(model: Any, section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `model` section of LAVIS's own class for others: without paths, and with what files state."""
    kept = without_paths(section)
    if str(section.get("pretrained")).lower() == OPENAI:
        kept["pretrained"] = OPENAI
    if "image_size" not in kept:  # CLIP's
        kept["image_size"] = adapt(model).image_size
    file = kept.pop("med_config_path", None)
    if file is not None:
        kept[BERT] = json.loads(Path(get_abs_path(file)).read_text(encoding="utf-8"))
    return {**kept, "max_txt_len": getattr(model, "max_txt_len", None) or getattr(model, "context_length", None)}


def _vocabulary(model: Any) -> tuple[str | None, PreTrainedTokenizerBase]:
    """Returns what the weights of LAVIS's own class carry of the vocabulary, and the vocabulary as a fast tokenizer."""
    pieces = getattr(model, "tokenizer", None)
    if isinstance(pieces, PreTrainedTokenizerBase):
        fast = PreTrainedTokenizerFast(tokenizer_object=backend(pieces), **pieces.special_tokens_map)
        return carried(fast), fast
    file: Tokenizer = adapt(model).text_tokenizer()
    return None, PreTrainedTokenizerFast(tokenizer_object=file, bos_token=START, eos_token=END)
