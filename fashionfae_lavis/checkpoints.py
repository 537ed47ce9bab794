"""Reading and writing checkpoints: whole or not at all, and without running code from a file."""

import json
import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing

WRITE_FAILURES = (OSError, RuntimeError, SafetensorError)  # torch reports a full disk as RuntimeError


def save_atomically(obj, path: str | Path) -> None:
    """``torch.save`` to a temporary file beside ``path``, renamed when it is complete.

    Raises:
        UserError: disk full or folder not writable; a file that was at ``path`` is still there, untouched.
    """
    with replacing(Path(path), WRITE_FAILURES) as temporary:
        torch.save(obj, temporary)


def save_safetensors(model_state: dict[str, torch.Tensor], config: dict, path: str | Path) -> None:
    """Weights and configuration in one safetensors file, written like :func:`save_atomically`."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model_state.items()}
    with replacing(Path(path), WRITE_FAILURES) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, metadata={"config": json.dumps(config)})
        temporary.chmod(mode)  # safetensors 0.8 lets nobody but the owner read its files


def read_checkpoint(path: str | Path) -> dict:
    """Content of a ``.pth`` checkpoint or of a ``.safetensors`` file, on the CPU.

    Returns:
        dict with at least ``model`` (name -> tensor); ours also hold ``config`` (plain dict).

    Raises:
        UserError: the file is missing, damaged, no checkpoint, or one that only pickle could open.
    """
    content = read_file(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UserError(f"{path} is not a checkpoint: it holds no 'model' weights.")
    return content


def read_file(path: str | Path, trust_pickle: bool = False):
    """Whatever a torch or ``.safetensors`` file holds (the weights of the latter under ``model``), on the CPU.

    Args:
        trust_pickle: also open files that hold Python objects. Such a file can run any code: the user's own decision.

    Raises:
        UserError: the file is missing or damaged, or one that only pickle could open.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no checkpoint file {path}.")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path, trust_pickle)


def find_state(content, path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict in a file's content: itself, or under `model` or `state_dict`; without DDP's `module.`.

    Raises:
        UserError: there is none.
    """
    state = content
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{path} is not a checkpoint: it holds no weights, neither bare nor under 'model'.")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def load_weights(model: nn.Module, state: dict[str, torch.Tensor], path: str | Path) -> None:
    """Load every weight and buffer of ``model``; ``path`` is only named in the error.

    Raises:
        UserError: a name is missing, unexpected, or of another shape.
    """
    expected = model.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in expected]
    problems += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        shown = ", ".join(problems[:3]) + (", ..." if len(problems) > 3 else "")
        raise UserError(f"{path} is of another architecture: {len(problems)} tensors do not fit ({shown}).")
    model.load_state_dict(state)


def _read_torch(path: Path, trust_pickle: bool):
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except ModuleNotFoundError as error:
        raise UserError(f"{path} holds objects of the package {error.name}, which is not installed.") from error
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or _is_old_torch_file(path):
            raise UserError(
                f"{path} is not opened, as it holds Python objects and could run code: "
                "save its weights as plain tensors, or, if you trust who made it, convert it with "
                "`fashionfae import-checkpoint --trust-pickle`."
            ) from error
        raise UserError(f"{path} is damaged or not a checkpoint.") from error
    except Exception as error:  # torch raises many kinds for a broken file
        raise UserError(f"{path} is damaged or not a checkpoint.") from error


def _is_old_torch_file(path: Path) -> bool:
    """Written by torch before 1.6: no zip archive, but a pickle that opens with torch's magic number."""
    opening = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
    with open(path, "rb") as file:
        return file.read(len(opening)) == opening


def _read_safetensors(path: Path) -> dict:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged or not a checkpoint.") from error
    content = {"model": tensors}
    if "config" in metadata:
        content["config"] = json.loads(metadata["config"])
    return content
