"""The training loop of both encoders."""

import sys
from collections.abc import Callable

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from fashionfae_lavis.runners.optimizers import build_optimizer, build_schedule

SEED = 1  # FashionGen-Mini has seed 0


def optimise(
    module: nn.Module,
    loss_of_batch: Callable[[], Tensor],
    updates: int,
    name: str,
    lr: float,
    weight_decay: float = 0.01,
) -> None:
    """Trains a module with AdamW; all random draws depend only on `SEED`.

    Args:
        module: the module to train.
        loss_of_batch: draws a batch and returns its loss.
        updates: number of updates.
        name: label of the progress bar.
        lr: peak learning rate.
        weight_decay: weight decay of AdamW.
    """
    torch.manual_seed(SEED)
    run = OmegaConf.create(
        {
            "init_lr": lr,
            "beta2": 0.98,
            "weight_decay": weight_decay,
            "lr_sched": "linear_warmup_cosine_iter",
            "warmup_steps": 100,
        }
    )
    optimizer = build_optimizer(module, run)
    schedule = build_schedule(optimizer, run, updates)
    interval = 0.1 if sys.stderr.isatty() else 10
    with tqdm(range(updates), desc=name, mininterval=interval) as bar:
        for update in bar:
            schedule.step(update)
            loss = loss_of_batch()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
