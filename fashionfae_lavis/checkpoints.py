"""Reading and writing of checkpoints. Writes are atomic. Reading checks for damage and runs no code from the file."""

import json
import os
import pickle
import secrets
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.integrity import DIGEST, damaged_member, digest
from fashionfae_lavis.state_dicts import NOT_FINITE, listed, misfits

WRITE_FAILURES = (OSError, RuntimeError, SafetensorError)  # torch reports a full disk as RuntimeError


def save_atomically(obj: Any, path: str | Path, previous: Path | None = None) -> None:
    """Saves an object with `torch.save` to a temporary file, which is renamed to `path` when it has been read back.

    Args:
        obj: the object.
        path: file to write.
        previous: where to keep the file that `path` was, if the file system has hard links.

    Raises:
        UserError: the disk is full or the folder is not writable; an older file at `path` stays untouched.
    """
    path = Path(path)
    with replacing(path, WRITE_FAILURES) as temporary:
        torch.save(obj, temporary)
        if damaged_on_disk(temporary):
            raise OSError("the disk returned other bytes than were written")
        if previous is not None:
            _keep(path, previous)


def damaged_on_disk(path: Path) -> bool:
    """Returns whether a file that was just written reads back damaged, from the disk where that is possible."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return damaged_member(path) is not None


def _keep(path: Path, previous: Path) -> None:
    """Gives a file a second name, so that it outlives its replacement; `path` exists at any time."""
    link = previous.with_name(f"{previous.name}.{secrets.token_hex(4)}.tmp")
    with suppress(OSError):
        os.link(path, link)
        os.replace(link, previous)
        link.unlink(missing_ok=True)  # a rename onto another name of the same file does nothing


def save_safetensors(model_state: dict[str, torch.Tensor], config: dict[str, Any], path: str | Path) -> None:
    """Saves weights, configuration and a digest of both to one safetensors file; atomic like `save_atomically`."""
    metadata = {"config": json.dumps(config)}
    with replacing(Path(path), WRITE_FAILURES) as temporary:
        tensors = _apart(model_state)
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, metadata={**metadata, DIGEST: digest(tensors, metadata)})
        temporary.chmod(mode)  # safetensors 0.8 makes its files readable by the owner only


def _apart(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns a state dict on the CPU whose tensors share no memory, as those of tied layers do."""
    found: dict[str, torch.Tensor] = {}
    memory: set[int] = set()
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in memory else tensor
        memory.add(place)
    return found


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a `.pth` or `.safetensors` checkpoint to the CPU.

    Returns:
        A dict with at least `model` (name -> tensor). Checkpoints of this package also have `config` (a plain dict).

    Raises:
        UserError: the file is missing, damaged, not a checkpoint, or needs pickle.
    """
    content = read_file(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UserError(f"{path} is not a checkpoint: it holds no 'model' weights.")
    named = (isinstance(name, str) and name.isprintable() for name in content["model"])
    if not all(named) or not all(map(_is_plain, content["model"].values())):
        raise UserError(f"{path} is not a checkpoint: its 'model' holds other things than named tensors.")
    config = content.get("config", {})
    if not isinstance(config, dict) or not isinstance(config.get("model", {}), dict):
        raise UserError(f"{path} has a damaged configuration: use another copy of the file.")
    return content


def _is_plain(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_quantized


def read_file(path: str | Path, trust_pickle: bool = False) -> Any:
    """Reads a torch or `.safetensors` file to the CPU; weights of a `.safetensors` file are under `model`.

    Args:
        path: the file.
        trust_pickle: whether to open files that hold Python objects. Such a file can run any code, so the user decides.

    Raises:
        UserError: the file is missing or damaged, cannot be read, or needs pickle although `trust_pickle` is off.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no checkpoint file {path}.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(
            f"Cannot read {path} ({error.strerror}): change its permissions or use another file."
        ) from error
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path, trust_pickle)


def find_state(content: Any, path: str | Path) -> dict[str, torch.Tensor]:
    """Finds the state dict in a file's content: bare, or under `model` or `state_dict`; removes DDP's `module.`.

    Args:
        content: the result of `read_file`.
        path: the file, for the error.

    Raises:
        UserError: the content has no state dict.
    """
    state = content
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{path} is not a checkpoint: it holds no weights, either bare or under 'model'.")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def load_weights(model: nn.Module, state: dict[str, torch.Tensor], path: str | Path) -> None:
    """Loads every weight and buffer of a model.

    Args:
        model: the model.
        state: its state dict.
        path: the file of `state`, for the error.

    Raises:
        UserError: a name is missing, unknown, or of another shape or kind of numbers, or a weight is not finite.
    """
    odd = next((name for name, value in state.items() if not isinstance(value, torch.Tensor)), None)
    if odd is not None:
        raise UserError(f"{path} is not a checkpoint: its weight {odd} is a {type(state[odd]).__name__}.")
    problems = misfits(state, model.state_dict())
    broken = [problem for problem in problems if problem.endswith(NOT_FINITE)]
    if broken and len(broken) == len(problems):
        raise UserError(f"{path} holds a diverged model ({listed(broken)}): use an earlier checkpoint.")
    if problems:
        raise UserError(f"{path} is of another architecture: {len(problems)} tensors do not fit ({listed(problems)}).")
    model.load_state_dict(state)


def damaged(path: str | Path, found: str = "") -> UserError:
    """Makes the error for a damaged file, with what was found, such as ": the digest is wrong"."""
    return UserError(f"{path} is damaged{found or ' or not a checkpoint'}: copy the file again, or use another one.")


def check_archive(path: str | Path) -> None:
    """Checks the CRCs of a torch file; does nothing if the file has none.

    Raises:
        UserError: one of them is wrong.
    """
    member = damaged_member(Path(path))
    if member is not None:
        raise damaged(path, f" (the checksum of {member} is wrong)")


def _read_torch(path: Path, trust_pickle: bool) -> Any:
    check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except ModuleNotFoundError as error:
        raise UserError(f"{path} holds objects of the package {error.name}: install it to open the file.") from error
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or _is_old_torch_file(path):
            raise UserError(
                f"{path} is not opened because it holds Python objects and could run code: "
                "save its weights as plain tensors or, if you trust its author, convert it with "
                "`fashionfae import-checkpoint --trust-pickle`."
            ) from error
        raise damaged(path) from error
    except Exception as error:  # torch raises many types of exceptions for a broken file
        raise damaged(path) from error


def _is_old_torch_file(path: Path) -> bool:
    """Returns whether torch before 1.6 wrote the file, a pickle instead of a zip archive, by its magic number."""
    opening = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
    with open(path, "rb") as file:
        return file.read(len(opening)) == opening


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, ValueError, RuntimeError, OSError) as error:
        raise damaged(path) from error
    # Files of other programs, and those of version 0.1, have no digest.
    if DIGEST in metadata and metadata[DIGEST] != digest(tensors, metadata):
        raise damaged(path, " (its digest is wrong)")
    content: dict[str, Any] = {"model": tensors}
    if "config" in metadata:
        try:
            content["config"] = json.loads(metadata["config"])
        except (ValueError, RecursionError) as error:
            raise damaged(path) from error
    return content
