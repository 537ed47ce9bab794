import math

import pytest
import torch
from omegaconf import OmegaConf

from fashionfae_lavis.runners.optimizers import build_optimizer, build_schedule
from fashionfae_lavis.runners.schedules import cosine


def make_schedule(**run):
    model = torch.nn.ModuleDict({"image": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    run = OmegaConf.create({"init_lr": 1e-5, "lr_scale": {"head": 20}, **run})
    optimizer = build_optimizer(model, run)
    return optimizer, build_schedule(optimizer, run, length=79_500)


def test_the_released_multistep_schedule():
    optimizer, schedule = make_schedule(
        lr_sched="linear_warmup_multistep_iter", warmup_steps=10_000, milestones=[35_000, 70_000]
    )
    expected = {0: 0.25e-5, 5_000: 0.625e-5, 10_000: 1e-5, 34_999: 1e-5, 35_000: 1e-6, 70_000: 1e-7}
    for iteration, lr in expected.items():
        assert schedule.step(iteration) == pytest.approx(lr)
        lrs = sorted({group["lr"] for group in optimizer.param_groups})
        assert lrs == pytest.approx([lr, 20 * lr])


def test_a_share_of_warm_up():
    for name in ("linear_warmup_multistep_iter", "linear_warmup_cosine_iter"):
        _, by_share = make_schedule(lr_sched=name, warmup_share=0.1)
        _, by_steps = make_schedule(lr_sched=name, warmup_steps=7_950)
        assert by_share.warmup_steps == 7_950
        assert [by_share.step(i) for i in range(0, 79_500, 500)] == [by_steps.step(i) for i in range(0, 79_500, 500)]


def test_a_cosine_of_less_than_one_step():
    assert [round(cosine(x, 0.25, 0.75, 0), 6) for x in (0, 0.25, 0.5, 0.75, 1)] == [1, 1, 0.5, 0, 0]
    assert [cosine(x, 5, 5, 0.1) for x in (4, 6)] == [1, 0.1]


def test_cosine_schedule_ends_at_min_lr_and_needs_no_history():
    optimizer, schedule = make_schedule(
        lr_sched="linear_warmup_cosine_iter", warmup_steps=1_500, min_lr=1e-6, warmup_factor=0
    )
    middle = 1e-6 + 9e-6 * (1 + math.cos(math.pi / 4)) / 2
    for iteration, lr in {79_500: 1e-6, 0: 0, 750: 0.5e-5, 21_000: middle, 1_500: 1e-5}.items():
        assert schedule.step(iteration) == pytest.approx(lr)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-5)
