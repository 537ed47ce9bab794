"""Communication among the processes that torchrun starts; also works with a single process."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from lavis.common.dist_utils import get_rank, get_world_size, is_dist_avail_and_initialized
from omegaconf import DictConfig, open_dict

from fashionfae_lavis.errors import UserError

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # processes wait while one of them prepares data


def init_distributed(run: DictConfig) -> None:
    """Joins the process group described by torchrun's environment variables; does nothing when called again.

    CPU runs communicate over gloo, GPU runs over NCCL.

    Args:
        run: the `run` section. The function sets its keys `device` (from `auto`, `cpu` or `cuda`), `amp` (from `auto`:
            bf16 on a GPU that has it, else false), `distributed`, `rank`, `world_size` and `gpu` (index of this
            process's GPU).

    Raises:
        UserError: `run.device` is unknown, or names a GPU that does not exist.
    """
    gpu = int(os.environ.get("LOCAL_RANK", 0))
    device = find_device(str(run.get("device", "auto")), "run.device")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ and not is_dist_avail_and_initialized():
        if device.type == "cuda":
            dist.init_process_group("nccl", timeout=TIMEOUT, device_id=device)
        else:
            dist.init_process_group("gloo", timeout=TIMEOUT)
    with open_dict(run):
        run.device, run.gpu = str(device), gpu
        if run.get("amp", "auto") == "auto":
            has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            run.amp = "bf16" if has_bf16 else False
        run.distributed = is_dist_avail_and_initialized()
        run.rank, run.world_size = get_rank(), get_world_size()


def find_device(name: str, key: str) -> torch.device:
    """Returns the device of this process.

    Args:
        name: `auto`, `cpu` or `cuda`.
        key: the setting that holds the name, for the error.

    Raises:
        UserError: the name is unknown, or this process has no GPU.
    """
    gpu = int(os.environ.get("LOCAL_RANK", 0))
    device_type = name.split(":")[0]
    if device_type not in ("auto", "cpu", "cuda"):
        raise UserError(f"{key} is '{name}', but must be auto, cpu or cuda.")
    if device_type == "cpu" or (device_type == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if gpu >= torch.cuda.device_count():
        raise UserError(
            f"{key}: {name} needs {gpu + 1} GPU(s), but this machine has {torch.cuda.device_count()}: "
            f"set {key} to cpu or start fewer processes."
        )
    return torch.device("cuda", gpu)


def gather_objects(value: T) -> list[T]:
    """Gathers one picklable value from every process, in order of rank, on all processes."""
    if not is_dist_avail_and_initialized():
        return [value]
    values: list[Any] = [None] * get_world_size()
    dist.all_gather_object(values, value)
    return values


def own_share(items: Sequence) -> Sequence:
    """Returns this process's share of a sequence: every `world_size`-th item, from index `rank` on."""
    return items[get_rank() :: get_world_size()]


def gather_in_order(batches: list[np.ndarray]) -> np.ndarray:
    """Merges rows computed for the processes' shares (see `own_share`) in the order of the whole sequence.

    Args:
        batches: arrays (B, ...) with the rows of this process's share, in order; empty if the share is empty.

    Returns:
        Array (N, ...) of all rows, on all processes.
    """
    shares = gather_objects(np.concatenate(batches) if batches else None)
    first = shares[0]
    assert first is not None  # the first process has the first item
    rows = np.empty((sum(len(share) for share in shares if share is not None), *first.shape[1:]), first.dtype)
    for rank, share in enumerate(shares):
        if share is not None:
            rows[rank :: len(shares)] = share
    return rows


def true_anywhere(flag: bool, device: torch.device) -> bool:
    """Returns whether `flag` is true on at least one process."""
    return max_anywhere([flag], device)[0] > 0


def max_anywhere(values: Sequence[float], device: torch.device) -> list[float]:
    """Returns the maximum of each value over the processes."""
    if not is_dist_avail_and_initialized():
        return list(values)
    maxima = torch.tensor(values, dtype=torch.float32, device=device)
    dist.all_reduce(maxima, dist.ReduceOp.MAX)
    return maxima.tolist()
