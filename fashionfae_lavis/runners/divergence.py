"""Stops a run whose loss or gradient is no longer finite."""

import math
from pathlib import Path

import torch

from fashionfae_lavis.distributed import gather_objects, true_anywhere
from fashionfae_lavis.errors import UserError


def check_finite(
    losses: dict[str, float], gradient_norm: float, iteration: int, last_checkpoint: Path, device: torch.device
) -> None:
    """Stops all processes together if one of them has diverged.

    Args:
        losses: losses of this process by name; `loss` is the total and `loss_<objective>` a part of it.
        gradient_norm: norm of the gradient. If only the norm is not finite, the message names all losses.
        iteration: number of this update, for the message.
        last_checkpoint: path of the last checkpoint, which may not exist yet.
        device: device of the model.

    Raises:
        UserError: a loss or the gradient norm of any process is not finite.
    """
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if not bad and not math.isfinite(gradient_norm):
        bad = [name for name in losses if name.startswith("loss")]
    if not true_anywhere(bool(bad), device):
        return
    names = sorted({name for process in gather_objects(bad) for name in process})
    objectives = [name.removeprefix("loss_") for name in names if name.startswith("loss_")] or names
    saved = last_checkpoint.exists()
    good = f"the last good checkpoint is {last_checkpoint}" if saved else "there is no checkpoint yet"
    raise UserError(
        f"The loss or gradient of {', '.join(objectives)} is not finite at iteration {iteration}: training has stopped "
        f"and {good}; a lower run.init_lr or run.max_grad_norm may help."
    )
