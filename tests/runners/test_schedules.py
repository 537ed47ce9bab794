import math

import pytest
import torch
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.optimizers import autocast_dtype, build_optimizer, build_schedule


def make_schedule(**run):
    model = torch.nn.ModuleDict({"image": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    run = OmegaConf.create({"init_lr": 1e-5, "lr_scale": {"head": 20}, **run})
    optimizer = build_optimizer(model, run)
    return optimizer, build_schedule(optimizer, run, max_iters=79_500)


def test_the_released_multistep_schedule():
    optimizer, schedule = make_schedule(
        lr_sched="linear_warmup_multistep_iter", warmup_steps=10_000, milestones=[35_000, 70_000]
    )
    expected = {0: 0.25e-5, 5_000: 0.625e-5, 10_000: 1e-5, 34_999: 1e-5, 35_000: 1e-6, 70_000: 1e-7}
    for iteration, lr in expected.items():
        assert schedule.step(iteration) == pytest.approx(lr)
        lrs = sorted({group["lr"] for group in optimizer.param_groups})
        assert lrs == pytest.approx([lr, 20 * lr])


def test_cosine_schedule_ends_at_min_lr_and_needs_no_history():
    optimizer, schedule = make_schedule(
        lr_sched="linear_warmup_cosine_iter", warmup_steps=1_500, min_lr=1e-6, warmup_factor=0
    )
    middle = 1e-6 + 9e-6 * (1 + math.cos(math.pi / 4)) / 2
    for iteration, lr in {79_500: 1e-6, 0: 0, 750: 0.5e-5, 21_000: middle, 1_500: 1e-5}.items():
        assert schedule.step(iteration) == pytest.approx(lr)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-5)


def test_only_per_iteration_schedules_are_accepted():
    for name in ("linear_warmup_cosine_lr", "nothing"):
        with pytest.raises(UserError, match="run.lr_sched is .* must be linear_warmup_multistep_iter or"):
            make_schedule(lr_sched=name)


def test_groups_by_scale_and_dimension_without_frozen_parameters():
    model = torch.nn.ModuleDict({"image": torch.nn.Linear(2, 2), "image2": torch.nn.Linear(2, 2)})
    model["norm"] = torch.nn.LayerNorm(2).requires_grad_(False)
    run = OmegaConf.create(
        {"init_lr": 0.1, "weight_decay": 0.01, "lr_scale": {"image": 20, "image.bias": 5, "norm": 3}}
    )
    groups = {
        (round(group["lr"], 6), group["weight_decay"]): [tuple(p.shape) for p in group["params"]]
        for group in build_optimizer(model, run).param_groups
    }
    assert groups == {(2.0, 0.01): [(2, 2)], (0.5, 0.0): [(2,)], (0.1, 0.01): [(2, 2)], (0.1, 0.0): [(2,)]}


def test_an_unknown_part_in_lr_scale_is_named_with_the_parts_there_are():
    with pytest.raises(UserError, match="run.lr_scale: no parameter begins with 'hea'; there are image, head"):
        make_schedule(lr_sched="linear_warmup_cosine_iter", lr_scale={"hea": 2})


def test_number_formats():
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert [autocast_dtype(amp, cpu) for amp in (None, False)] == [None, None]
    assert autocast_dtype(True, cpu) == autocast_dtype("bf16", gpu) == torch.bfloat16
    assert autocast_dtype(True, gpu) == autocast_dtype("fp16", gpu) == torch.float16
    with pytest.raises(UserError, match="run.amp: fp16 needs a GPU"):
        autocast_dtype("fp16", cpu)
    with pytest.raises(UserError, match="run.amp is 'fp8'"):
        autocast_dtype("fp8", cpu)
