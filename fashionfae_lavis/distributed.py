"""Several processes (torchrun) or one, on GPUs or on the CPU."""

import os
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from lavis.common.dist_utils import get_rank, get_world_size, is_dist_avail_and_initialized
from omegaconf import DictConfig, open_dict

from fashionfae_lavis.errors import UserError

TIMEOUT = timedelta(minutes=30)  # a process may wait while another prepares data


def init_distributed(run: DictConfig) -> None:
    """Join the process group torchrun announces in the environment, and write down where this process stands.

    Sets ``run.device`` (from ``auto``, ``cpu`` or ``cuda``), ``run.distributed``, ``run.rank``,
    ``run.world_size`` and ``run.gpu`` (index of this process's GPU). Gloo carries CPU runs, NCCL GPU runs.
    Safe to call twice.

    Raises:
        UserError: a GPU is asked for that does not exist, or ``run.device`` is unknown.
    """
    gpu = int(os.environ.get("LOCAL_RANK", 0))
    device = _device(str(run.get("device", "auto")), gpu)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ and not is_dist_avail_and_initialized():
        if device.type == "cuda":
            dist.init_process_group("nccl", timeout=TIMEOUT, device_id=device)
        else:
            dist.init_process_group("gloo", timeout=TIMEOUT)
    with open_dict(run):
        run.device, run.gpu = str(device), gpu
        run.distributed = is_dist_avail_and_initialized()
        run.rank, run.world_size = get_rank(), get_world_size()


def _device(name: str, gpu: int) -> torch.device:
    kind = name.split(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise UserError(f"run.device is '{name}', but must be auto, cpu or cuda.")
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if gpu >= torch.cuda.device_count():
        raise UserError(
            f"run.device: {name} needs {gpu + 1} GPU(s), but {torch.cuda.device_count()} can be used: "
            "set run.device to cpu or start fewer processes."
        )
    return torch.device("cuda", gpu)


def gather_objects(value) -> list:
    """One picklable value from every process, in order of rank, on every process."""
    if not is_dist_avail_and_initialized():
        return [value]
    values = [None] * get_world_size()
    dist.all_gather_object(values, value)
    return values


def own_share(items: Sequence) -> Sequence:
    """This process's part of a sequence: every world-size-th item, beginning with the one at its rank."""
    return items[get_rank() :: get_world_size()]


def gather_in_order(batches: list[np.ndarray]) -> np.ndarray:
    """Rows that the processes computed for their shares (see `own_share`) -> all rows, in the order of the whole.

    Args:
        batches: arrays (B, ...) that together are this process's share, in its order; none where the share is empty.

    Returns:
        (N, ...), the same on every process.
    """
    shares = gather_objects(np.concatenate(batches) if batches else None)
    first = shares[0]
    rows = np.empty((sum(len(share) for share in shares if share is not None), *first.shape[1:]), first.dtype)
    for rank, share in enumerate(shares):
        if share is not None:
            rows[rank :: len(shares)] = share
    return rows


def true_anywhere(flag: bool, device: torch.device) -> bool:
    """Whether ``flag`` is true on at least one process."""
    if not is_dist_avail_and_initialized():
        return flag
    count = torch.tensor(float(flag), device=device)
    dist.all_reduce(count)
    return count.item() > 0
