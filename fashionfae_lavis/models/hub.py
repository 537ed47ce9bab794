"""Finding of saved models: folders of `save_pretrained`, on this machine or on the Hugging Face hub.

A saved model is a folder with these files:

    model.safetensors    weights; a checkpoint of this package that carries configuration, vocabulary and a digest
    config.json          the configuration: architecture and image processing
    tokenizer.json ...   the vocabulary in the format of transformers
    README.md            the model card
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import read_json

WEIGHTS, CONFIGURATION, CARD = "model.safetensors", "config.json", "README.md"
LIBRARY = "fashionfae-lavis"
ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SECONDS = 5  # to wait for the hub's answer
CONTENT = TypeAdapter(dict[str, Any])
SAVED = "a folder that `save_pretrained` wrote"


def is_saved(name: str | Path) -> bool:
    """Returns whether a name is a folder, or a hub id (`org/name`) and no checkpoint: what `weights_file` opens."""
    path = Path(name)
    checkpoint = path.is_file() or path.suffix in (".pth", ".safetensors")
    return path.is_dir() or bool(ID.fullmatch(str(name))) and not checkpoint


def weights_file(name: str | Path) -> Path:
    """Finds the weights of a saved model, which are a checkpoint, and downloads them if the hub has a newer version.

    Args:
        name: a folder of `save_pretrained`, or the id of one on the hub. An existing folder takes precedence.

    Returns:
        The path of model.safetensors.

    Raises:
        UserError: there is no such folder or model, the hub cannot be reached, or it is a model of another library.
    """
    find = partial(_in_folder, Path(name)) if Path(name).is_dir() else partial(_of_hub, str(name), _answers(str(name)))
    # The small file comes first: it tells a model of another library before its weights are downloaded.
    configuration = find(CONFIGURATION)
    written = _read_configuration(configuration, name)
    weights = find(WEIGHTS)
    if written != _carried_configuration(weights):
        raise UserError(
            f"{configuration} does not belong to {WEIGHTS} next to it: copy the folder again, or save the model again."
        )
    return weights


def _in_folder(folder: Path, file: str) -> Path:
    path = folder / file
    if path.is_file():
        return path
    if file != CONFIGURATION:
        raise UserError(f"The saved model {folder} lacks {file}: copy the folder again.")
    checkpoints = sorted(folder.glob("*.pth"))
    mend = f"name a checkpoint in it, such as {checkpoints[0]}" if checkpoints else f"use {SAVED}"
    raise UserError(f"The folder {folder} holds no saved model, because it has no {file}: {mend}.")


def _answers(name: str) -> bool:
    """Returns whether the hub answers; downloads retry for half a minute, so a short request comes first.

    Raises:
        UserError: the hub does not know the model.
    """
    try:
        HfApi(library_name=LIBRARY).model_info(name, timeout=SECONDS)
    except RepositoryNotFoundError as error:
        raise UserError(
            f"There is neither a folder {name} nor a model of this id on the hub: correct the name or, if the model is "
            "private, run `hf auth login`."
        ) from error
    except (OSError, ValueError):
        return False
    return True


def _of_hub(name: str, answers: bool, file: str) -> Path:
    """Returns a file of a model on the hub: the newest version if the hub answers, else the one in its cache."""
    try:
        return Path(hf_hub_download(name, file, library_name=LIBRARY, local_files_only=not answers))
    except GatedRepoError as error:
        raise UserError(
            f"The hub's model {name} is not open to you: ask its owner, then run `hf auth login`."
        ) from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"There is no folder {name}, the hub's cache has no {file} of a model with this id, and the hub cannot be "
            "reached: correct the name, or load the model once online."
        ) from error
    except EntryNotFoundError as error:
        raise UserError(
            f"The hub's model {name} has no {file}: use the id of a model that `push_to_hub` wrote."
        ) from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(f"The model {name} could not be downloaded from the hub ({reason}): try again.") from error


def _read_configuration(path: Path, name: str | Path) -> dict[str, Any]:
    content = read_json(path, CONTENT, "copy the folder again")
    if content.pop("library_name", None) != LIBRARY:
        kinds = content.get("architectures")
        kind = kinds[0] if isinstance(kinds, list) and kinds else content.get("model_type")
        what = f"a model of another library ({kind})" if isinstance(kind, str) else "a model of another library"
        raise UserError(f"{name} is {what}, not of {LIBRARY}: use {SAVED}.")
    return content


def _carried_configuration(weights: Path) -> dict[str, Any]:
    """Returns the configuration that a weights file carries, without its vocabulary; empty if it has none."""
    try:
        with safe_open(weights, framework="pt") as file:
            config = CONTENT.validate_json((file.metadata() or {}).get("config", "{}"))
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(f"{weights} is damaged: copy the file again, or use another one.") from error
    return {key: value for key, value in config.items() if key != "vocabulary"}
