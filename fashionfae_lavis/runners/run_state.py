"""Checks the training state in a checkpoint before a run changes anything."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.random_state import random_state, restore_random_state
from fashionfae_lavis.runners.data_order import DataOrder
from fashionfae_lavis.runners.length import RunLength
from fashionfae_lavis.runners.training_settings import difference

KEYS = ("optimizer", "scaler", "rng", "data_order", "config", "iters", "best_metric", "best_iters")


def check_run_state(state: Mapping[str, Any], path: Path) -> None:
    """Checks that a checkpoint holds a run's state, with valid counters and random states.

    Raises:
        UserError: it holds only weights, or an entry is missing or wrong.
    """
    if "data_order" not in state:
        raise UserError(
            f"run.resume_ckpt_path: {path} holds weights but no training state: name a run's checkpoint_last.pth, "
            "or load the weights with model.pretrained."
        )
    missing = [key for key in KEYS if key not in state]
    if missing:
        raise _unusable(path, missing[0], "it is missing")
    for key in ("optimizer", "scaler", "data_order"):
        if not isinstance(state[key], Mapping):
            raise _unusable(path, key, f"it is a {type(state[key]).__name__}")
    _check_counters(state, path)
    _check_scaler(state["scaler"], path)
    if not isinstance(state["rng"], list) or not state["rng"]:
        raise _unusable(path, "rng", "it is not a list of random states")
    for random in state["rng"]:
        _check_random_state(random, path)


def check_same_training(
    state: Mapping[str, Any], path: Path, config: Mapping[str, Any], order: DataOrder, length: RunLength
) -> None:
    """Checks that a checkpoint belongs to a training.

    Args:
        state: content of the checkpoint, after `check_run_state`.
        path: path of the checkpoint.
        config: configuration of the training, in plain containers.
        order: order of its data.
        length: its length.

    Raises:
        UserError: a setting or the data differ, or the checkpoint is beyond the end of the training.
    """
    found = DataOrder.from_state(state["data_order"]).difference(order)
    found = found or difference(state["config"], config, path.parent, moved=True)
    if found is not None:
        raise UserError(
            f"run.resume_ckpt_path: {path} was made with {found}: restore this setting, or start a new run from the "
            f"weights with model.pretrained={path}."
        )
    if length.max_minutes is None and state["iters"] > length.schedule_length:
        raise UserError(
            f"run.resume_ckpt_path: {path} has {state['iters']} updates, but the run ends after "
            f"{length.schedule_length}: raise run.max_iters, or evaluate the checkpoint."
        )
    if len(state["rng"]) != order.processes:
        raise UserError(f"run.resume_ckpt_path: {path} is damaged: it lacks random states; use another checkpoint.")


def check_optimizer(state: Any, optimizer: torch.optim.Optimizer, path: Path) -> dict[str, Any]:
    """Checks an optimizer's saved state against the optimizer that a run has built.

    Returns:
        The state for `load_state_dict`: the saved moments, and the groups of `optimizer`, whose rates and decays come
        from the configuration.

    Raises:
        UserError: groups or shapes differ, or a moment is not finite.
    """
    # The state of a sharded optimizer cannot be read in one process; the base class reads its groups.
    own = torch.optim.Optimizer.state_dict(optimizer)["param_groups"]
    try:
        groups = [list(group["params"]) for group in state["param_groups"]]
        moments = dict(state["state"])
    except (TypeError, KeyError, ValueError) as error:
        raise _unusable(path, "optimizer", "it has no parameter groups or no moments") from error
    if groups != [group["params"] for group in own]:
        raise UserError(
            f"run.resume_ckpt_path: {path} has other parameter groups; restore run.lr_scale and run.decay_also."
        )
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in own for number in group["params"]]
    shapes = {number: parameter.shape for number, parameter in zip(numbers, parameters, strict=True)}
    for number, moment in moments.items():
        if number not in shapes or not isinstance(moment, Mapping):
            raise _unusable(path, "optimizer", f"it has moments of an unknown parameter {number!r}")
        for name in ("step", "exp_avg", "exp_avg_sq"):
            value = torch.as_tensor(moment[name]) if isinstance(moment.get(name), int | float | torch.Tensor) else None
            shape = torch.Size() if name == "step" else shapes[number]
            if value is None or value.shape != shape or not value.isfinite().all():
                raise _unusable(
                    path, "optimizer", f"its {name} of parameter {number} has another shape or is no number"
                )
    return {"state": moments, "param_groups": own}


def _check_counters(state: Mapping[str, Any], path: Path) -> None:
    iters, best, best_iters = state["iters"], state["best_metric"], state["best_iters"]
    if not _is_count(iters):
        raise _unusable(path, "iters", f"it is {iters!r} instead of a number of updates")
    seconds = state.get("seconds", 0.0)
    if not _is_number(seconds) or not math.isfinite(seconds) or seconds < 0:
        raise _unusable(path, "seconds", f"it is {seconds!r} instead of a time")
    if not _is_number(best) or math.isnan(best):
        raise _unusable(path, "best_metric", f"it is {best!r} instead of a number")
    if best_iters is not None and not (_is_count(best_iters) and best_iters <= iters):
        raise _unusable(path, "best_iters", f"it is {best_iters!r} in a run of {iters} updates")


def _check_scaler(scaler: Mapping[str, Any], path: Path) -> None:
    """Checks the gradient scaler, whose state is empty except in fp16."""
    names = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
    for name in names if scaler else ():
        value = scaler.get(name)
        if not _is_number(value) or not math.isfinite(value) or value < 0:
            raise _unusable(path, "scaler", f"its {name} is {value!r}")


def _check_random_state(state: Any, path: Path) -> None:
    """Checks a random state by restoring it, then restores the present one."""
    before = random_state()
    try:
        restore_random_state(state)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError) as error:
        raise _unusable(path, "rng", "it is not a random state") from error
    finally:
        restore_random_state(before)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


def _unusable(path: Path, key: str, problem: str) -> UserError:
    return UserError(
        f"{path} cannot be resumed, because of its '{key}' ({problem}): use another checkpoint, or "
        f"start a new run from its weights with model.pretrained={path}."
    )
