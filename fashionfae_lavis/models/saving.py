"""Saving of models as folders that others open by `load_model`, and their upload to the Hugging Face hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from huggingface_hub import HfApi
from lavis.common.registry import registry
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.models.card import Facts, model_card
from fashionfae_lavis.models.guards import model_section
from fashionfae_lavis.models.hub import CARD, CONFIGURATION, ID, LIBRARY, WEIGHTS, is_saved, weights_file
from fashionfae_lavis.models.vocabulary import from_carried

Model = TypeVar("Model", bound="Savable")
FILES = [WEIGHTS, CONFIGURATION, CARD, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
# Keys of a `model` section that say where a run began. They may be paths, which mean nothing to others.
ORIGINS = (
    "load_finetuned",
    "finetuned",
    "load_pretrained",
    "pretrained",
    "pretrained_encoders",
    "vocabulary",
    "bert",
    "vit",
)


def without_paths(section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a `model` section without the files that a run started from, for others to open."""
    kept = {key: value for key, value in section.items() if key not in ORIGINS}
    if "image_tokenizer" in kept:  # the weights are in the checkpoint
        kept["image_tokenizer"] = {key: value for key, value in kept["image_tokenizer"].items() if key != "weights"}
    return kept


class Savable:
    """Mixin that writes a model with all that `load_model` needs. List it before the LAVIS model class.

    Attributes:
        settings: the configuration that the model was built from: `model` and, where known, `preprocess`.
    """

    ARCH: str
    settings: DictConfig | None = None

    def built_from(self: Model, settings: Mapping[str, Any]) -> Model:
        """Notes the configuration that the model was built from; returns the model."""
        self.settings = OmegaConf.create(dict(settings))
        return self

    def processing(self) -> dict[str, dict[str, Any]]:
        """Returns `vis_processor` and `text_processor` of evaluation, or the defaults of the model type."""
        settings: Any = self.settings or {}
        if "preprocess" not in settings:
            settings = type(self).config_for(settings.get("model", {}).get("model_type"))  # type: ignore[attr-defined]
        plain: Any = OmegaConf.to_container(settings.preprocess, resolve=True)
        return {side: {"eval": plain[side]["eval"]} for side in ("vis_processor", "text_processor")}

    def save_pretrained(self, folder: str | Path, name: str | None = None, **facts: Any) -> None:
        """Writes weights, configuration, vocabulary and model card to a folder that `load_model` opens.

        Args:
            folder: folder to write to; created if missing.
            name: name of the model in its card; default: the folder's.
            facts: what the card states, see `Facts`: `data`, `figures` and `licence`.

        Raises:
            UserError: the model was not built by `load_model` or a run, or a file cannot be written.
        """
        config = self.shared_configuration()
        vocabulary = self.carried_vocabulary()  # type: ignore[attr-defined]
        pieces = from_carried(vocabulary, folder)
        write_folder(self.state_dict(), config, vocabulary, pieces, Path(folder), name, Facts(**facts))  # type: ignore[attr-defined]

    def push_to_hub(self, repo_id: str, private: bool = True, **facts: Any) -> str:
        """Uploads the files of `save_pretrained` to the hub, as one commit.

        Args:
            repo_id: id of the model on the hub, `org/name`; created if missing.
            private: whether a new model is visible to its owners only.
            facts: see `save_pretrained`.

        Returns:
            The address of the model.

        Raises:
            UserError: the model cannot be saved or uploaded.
        """
        if not ID.fullmatch(repo_id):
            raise UserError(f"{repo_id!r} is not the id of a model on the hub: use the form org/name.")
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, repo_id, **facts)
            return upload(folder, repo_id, private)

    def shared_configuration(self) -> dict[str, Any]:
        """Returns the configuration in plain containers, without paths."""
        if self.settings is None:
            raise UserError(
                f"This {type(self).__name__} has no configuration to save: build it by `load_model` or `from_config`."
            )
        # Paths may refer to other sections of a run, so they go before references are resolved.
        written: Any = OmegaConf.to_container(self.settings.model)
        section: Any = OmegaConf.to_container(OmegaConf.create(without_paths(written)), resolve=True)
        return {
            "model": {**section, "arch": self.ARCH},
            "preprocess": self.processing(),
        }


def write_folder(
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    vocabulary: str | None,
    pieces: PreTrainedTokenizerBase,
    folder: Path,
    name: str | None,
    facts: Facts,
) -> None:
    """Writes the files of a saved model; see hub.py.

    Args:
        state: the weights.
        config: `model` and `preprocess`, without paths.
        vocabulary: what the weights carry of the vocabulary, see `carried`; None if the model's class has its own.
        pieces: the vocabulary.
        folder: folder to write to; created if missing.
        name: name of the model in its card; None for the folder's.
        facts: what the card states.

    Raises:
        UserError: a file cannot be written.
    """
    make_folder(folder)
    carrying = {} if vocabulary is None else {"vocabulary": vocabulary}
    save_safetensors(dict(state), {**config, **carrying}, folder / WEIGHTS)
    _write_vocabulary(pieces, folder)
    _write(folder / CARD, model_card(config, len(pieces), name or folder.resolve().name, facts))
    _write(folder / CONFIGURATION, json.dumps({"library_name": LIBRARY, **config}, indent=2) + "\n")


def named_file(name: str) -> str:
    """Returns the checkpoint of a saved model, and any other name as it is."""
    types = registry.get_model_class("fashionfae").PRETRAINED_MODEL_CONFIG_DICT
    return str(weights_file(name)) if is_saved(name) and name not in types else name


def open_any(name: str) -> Any:
    """Opens a model type of FashionFAE, a checkpoint or a saved model, of any model in this package that can be saved.

    Raises:
        UserError: there is no such model, or it is another one.
    """
    name = named_file(name)
    arch = model_section(read_checkpoint(name)).get("arch") if Path(name).is_file() else "fashionfae"
    found = registry.get_model_class(arch) if isinstance(arch, str) else None
    if found is None or not issubclass(found, Savable):
        raise UserError(
            f"{name} holds the model {arch}, which cannot be saved: use a checkpoint of a model with texts."
        )
    return found.from_pretrained(name)


def upload(folder: str | Path, repo_id: str, private: bool = True) -> str:
    """Uploads the files of a saved model to the hub, as one commit; returns its address.

    Raises:
        UserError: the hub cannot be reached, or refuses the upload.
    """
    api = HfApi(library_name=LIBRARY)
    try:
        address = str(api.create_repo(repo_id, private=private, exist_ok=True))
        # The folder may hold other files of its owner.
        api.upload_folder(
            repo_id=repo_id, folder_path=folder, allow_patterns=FILES, commit_message=f"Model of {LIBRARY}"
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"{repo_id} could not be uploaded ({reason}): go online, run `hf auth login`, and check that you may write "
            "to it."
        ) from error
    return address


def _write_vocabulary(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    with TemporaryDirectory() as temporary:
        for path in map(Path, tokenizer.save_pretrained(temporary)):
            if path.is_file():
                _write(folder / path.name, path.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
