"""Optimizer, learning-rate schedule and autocast dtype of a run, from its configuration."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from lavis.common.dist_utils import is_dist_avail_and_initialized, is_main_process
from lavis.common.registry import registry
from omegaconf import DictConfig
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from transformers.optimization import AdamW as TransformersAdamW

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.schedules import IterationSchedule

# Both decouple weight decay. transformers' AdamW adds eps before the bias correction and decays after the step, as the
# authors' code does. In the first updates, gradients of about eps then move a parameter less. torch's fused kernel
# updates each parameter in one pass over memory, on CPU and GPU (benchmarks/kernels.py).
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "transformers_adamw": partial(TransformersAdamW, no_deprecation_warning=True),
}


def build_optimizer(model: nn.Module, run: DictConfig) -> torch.optim.Optimizer:
    """Builds AdamW over the trainable parameters.

    Args:
        model: the model to train.
        run: the `run` section. `optimizer` is one of `OPTIMIZERS`, "adamw" by default. `weight_decay` (default 0)
            applies to parameters with at least two dimensions, so not to biases, norms and scales. `decay_also` lists
            prefixes of parameter names (whole name parts) that are decayed regardless of their dimensions. `lr_scale`
            maps prefixes to factors on `init_lr`; the longest matching prefix wins. `beta2` is 0.999 by default.
            `shard_optimizer` divides the state among the processes of a distributed run.

    Raises:
        UserError: the optimizer is unknown, or no parameter has one of the prefixes.
    """
    kind = run.get("optimizer", "adamw")
    if kind not in OPTIMIZERS:
        raise UserError(f"run.optimizer is {kind!r}, but must be {' or '.join(OPTIMIZERS)}.")
    scales, decay_also = dict(run.get("lr_scale") or {}), tuple(run.get("decay_also") or ())
    names = [name for name, _ in model.named_parameters()]
    for key, prefixes in (("lr_scale", scales), ("decay_also", decay_also)):
        for prefix in prefixes:
            if not any(_has_prefix(name, prefix) for name in names):
                modules = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
                raise UserError(f"run.{key}: no parameter begins with '{prefix}'; the model has {modules}.")
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            prefix = max((prefix for prefix in scales if _has_prefix(name, prefix)), key=len, default=None)
            lr = float(run.init_lr) * float(scales.get(prefix, 1))
            decayed = parameter.ndim >= 2 or any(_has_prefix(name, prefix) for prefix in decay_also)
            groups[lr, float(run.get("weight_decay", 0)) if decayed else 0.0].append(parameter)
    options = {"betas": (0.9, float(run.get("beta2", 0.999))), "eps": 1e-8}
    listed = [
        {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]
    if run.get("shard_optimizer") and is_dist_avail_and_initialized():
        return ZeroRedundancyOptimizer(listed, OPTIMIZERS[kind], **options)  # type: ignore[arg-type]  # any callable
    return OPTIMIZERS[kind](listed, **options)


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns the state that a checkpoint holds, the same for sharded and whole optimizers.

    All processes must call it together. A sharded state is whole in the first process and empty in the others.
    """
    if not isinstance(optimizer, ZeroRedundancyOptimizer):
        return optimizer.state_dict()
    optimizer.consolidate_state_dict()
    state = optimizer.state_dict() if is_main_process() else {}
    optimizer._all_state_dicts = []  # type: ignore[attr-defined]  # would keep the whole state in memory
    return state


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Loads what `optimizer_state` returned into a sharded or whole optimizer.

    `ZeroRedundancyOptimizer.load_state_dict` keeps every moment twice, and leaves the fused kernel's `step` on the CPU.
    """
    if not isinstance(optimizer, ZeroRedundancyOptimizer):
        optimizer.load_state_dict(dict(state))
        return
    numbers = {parameter: number for number, parameter in enumerate(_parameters(optimizer))}
    own = [numbers[parameter] for parameter in _parameters(optimizer.optim)]
    moments = {place: state["state"][number] for place, number in enumerate(own) if number in state["state"]}
    optimizer.optim.load_state_dict({"state": moments, "param_groups": optimizer.optim.state_dict()["param_groups"]})


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def build_schedule(optimizer: torch.optim.Optimizer, run: DictConfig, length: float) -> IterationSchedule:
    """Builds the schedule registered under `run.lr_sched`.

    Args:
        optimizer: the optimizer to drive.
        run: the `run` section.
        length: length of the schedule, such as the number of updates.

    Raises:
        UserError: no per-iteration schedule has this name.
    """
    schedule = registry.get_lr_scheduler_class(run.lr_sched)
    if schedule is None or not issubclass(schedule, IterationSchedule):
        raise UserError(
            f"run.lr_sched is '{run.lr_sched}', but must be linear_warmup_multistep_iter or linear_warmup_cosine_iter."
        )
    return schedule(optimizer, run, length)


def autocast_dtype(amp: bool | str | None, device: torch.device) -> torch.dtype | None:
    """Returns the autocast dtype of `run.amp`, None for float32.

    Args:
        amp: false, bf16, fp16 (GPU only), or true for fp16 on a GPU and bf16 on a CPU. `distributed.py` replaces auto.
        device: device of the model.

    Raises:
        UserError: `amp` is another value, or fp16 on a CPU.
    """
    if not amp:
        return None
    if amp is True:
        amp = "fp16" if device.type == "cuda" else "bf16"
    if amp not in ("bf16", "fp16"):
        raise UserError(f"run.amp is '{amp}', but must be auto, false, true, bf16 or fp16.")
    if amp == "fp16" and device.type != "cuda":
        raise UserError("run.amp: fp16 needs a GPU; set it to bf16 or false on a CPU.")
    return torch.bfloat16 if amp == "bf16" else torch.float16


def _has_prefix(name: str, prefix: str) -> bool:
    return f"{name}.".startswith(f"{prefix}.")
