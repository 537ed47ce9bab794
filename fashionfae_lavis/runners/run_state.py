"""What a checkpoint of a run holds, and putting a run back to where it was when it was written."""

from pathlib import Path

from lavis.common.dist_utils import get_rank
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.distributed import gather_objects
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.random_state import random_state, restore_random_state


def run_state(runner) -> dict:
    """State of a ``FashionRunner`` in tensors and plain types; all processes must call it together.

    Returns:
        dict of ``model`` (all weights and buffers, frozen ones too), ``optimizer``, ``scaler``, ``iters``
        (updates done, which is also the state of the schedule and the position in the data), ``seconds`` (spent in
        them), ``rng`` (one state per process), ``best_metric``, ``best_iters``, ``data_order`` and ``config``.
    """
    return {
        "model": runner.bare_model.state_dict(),
        "optimizer": runner.optimizer.state_dict(),
        "scaler": runner.scaler.state_dict(),
        "iters": runner.iters,
        "seconds": runner.seconds,
        "rng": gather_objects(random_state(runner.cuda_enabled)),
        "best_metric": runner.best_metric,
        "best_iters": runner.best_iters,
        "data_order": runner.data_order,
        "config": OmegaConf.to_container(runner.config.config, resolve=True),
    }


def restore_run(runner, path: Path) -> None:
    """Load a checkpoint into a ``FashionRunner`` that was built with the same configuration.

    Raises:
        UserError: the file cannot be read, holds weights only, or belongs to another model or order of data.
    """
    state = read_checkpoint(path)
    if "data_order" not in state:
        raise UserError(f"run.resume_ckpt_path: {path} holds weights but no state of a run to continue.")
    for name, value in runner.data_order.items():
        before = state["data_order"].get(name)  # older checkpoints, of one data set, lack the ratios
        if before != value:
            raise UserError(f"run.resume_ckpt_path: {path} was made with {name} = {before}, not {value}.")
    load_weights(runner.bare_model, state["model"], path)
    try:
        runner.optimizer.load_state_dict(state["optimizer"])
    except ValueError as error:
        raise UserError(f"{path} has other parameter groups: set run.lr_scale as it was.") from error
    if state["scaler"]:
        runner.scaler.load_state_dict(state["scaler"])
    runner.iters, runner.seconds = state["iters"], state.get("seconds", 0.0)  # older checkpoints lack the latter
    runner.best_metric, runner.best_iters = state["best_metric"], state["best_iters"]
    restore_random_state(state["rng"][get_rank()])
