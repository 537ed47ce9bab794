"""AdamW's parameter groups, the schedule by name, and the number format of autocast."""

import pytest
import torch
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.optimizers import autocast_dtype, build_optimizer, build_schedule
from fashionfae_lavis.runners.schedules import LinearWarmupCosine, LinearWarmupMultistep


def model(**modules):
    return torch.nn.ModuleDict(modules or {"image": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})


def optimizer_of(model, **run):
    return build_optimizer(model, OmegaConf.create({"init_lr": 0.1, **run}))


def groups_by_name(model, optimizer):
    """Parameter name -> (learning rate, weight decay)."""
    settings = {
        id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    return {name: settings[id(p)] for name, p in model.named_parameters() if id(p) in settings}


def test_groups_by_scale_and_dimension_without_frozen_parameters():
    parts = model(image=torch.nn.Linear(2, 2), image2=torch.nn.Linear(2, 2), norm=torch.nn.LayerNorm(2))
    parts["norm"].requires_grad_(False)
    optimizer = optimizer_of(parts, weight_decay=0.01, lr_scale={"image": 20, "image.bias": 5, "norm": 3})
    assert groups_by_name(parts, optimizer) == {
        "image.weight": (2.0, 0.01),
        "image.bias": (0.5, 0.0),
        "image2.weight": (0.1, 0.01),
        "image2.bias": (0.1, 0.0),
    }
    assert all(group["initial_lr"] == group["lr"] for group in optimizer.param_groups)


def test_weight_decay_spares_biases_norms_and_scales():
    parts = model(conv=torch.nn.Conv2d(1, 1, 2), norm=torch.nn.LayerNorm(2), words=torch.nn.Embedding(2, 2))
    parts.scale = torch.nn.Parameter(torch.tensor(4.0))
    decays = {name: decay for name, (_, decay) in groups_by_name(parts, optimizer_of(parts, weight_decay=0.3)).items()}
    assert {name for name, decay in decays.items() if decay} == {"conv.weight", "words.weight"}
    assert set(decays.values()) == {0.0, 0.3} and {"scale", "norm.weight", "conv.bias"} <= decays.keys()


def test_the_longest_prefix_wins_and_a_prefix_ends_with_a_part_of_the_name():
    nested = model(fusion=torch.nn.ModuleDict({"visual": torch.nn.Linear(2, 2), "visual2": torch.nn.Linear(2, 2)}))
    rates = {
        name: lr
        for name, (lr, _) in groups_by_name(
            nested, optimizer_of(nested, lr_scale={"fusion.visual": 3, "fusion": 2})
        ).items()
    }
    assert rates["fusion.visual.weight"] == pytest.approx(0.3) and rates["fusion.visual2.weight"] == pytest.approx(0.2)


def test_defaults_and_moments():
    default, short = optimizer_of(model()), optimizer_of(model(), beta2=0.98)
    assert default.defaults["betas"] == (0.9, 0.999) and short.defaults["betas"] == (0.9, 0.98)
    assert default.defaults["eps"] == 1e-8
    assert {(group["lr"], group["weight_decay"]) for group in default.param_groups} == {(0.1, 0.0)}


@pytest.mark.parametrize("prefix", ["hea", "head.bia", "scale"])
def test_a_prefix_without_parameters_is_named_with_the_modules_of_the_model(prefix):
    with pytest.raises(
        UserError, match=f"run.lr_scale: no parameter begins with '{prefix}'; the model has image, head"
    ):
        optimizer_of(model(), lr_scale={prefix: 2})


def test_a_schedule_by_its_registered_name():
    for name, expected in (
        ("linear_warmup_multistep_iter", LinearWarmupMultistep),
        ("linear_warmup_cosine_iter", LinearWarmupCosine),
    ):
        run = OmegaConf.create({"init_lr": 0.1, "lr_sched": name})
        assert type(build_schedule(build_optimizer(model(), run), run, length=10)) is expected


@pytest.mark.parametrize("name", ["linear_warmup_cosine_lr", "nothing"])
def test_only_per_iteration_schedules_are_accepted(name):
    run = OmegaConf.create({"init_lr": 0.1, "lr_sched": name})
    with pytest.raises(UserError, match="run.lr_sched is .* must be linear_warmup_multistep_iter or"):
        build_schedule(build_optimizer(model(), run), run, length=10)


def test_number_formats():
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert [autocast_dtype(amp, cpu) for amp in (None, False)] == [None, None]
    assert autocast_dtype(True, cpu) == autocast_dtype("bf16", gpu) == torch.bfloat16
    assert autocast_dtype(True, gpu) == autocast_dtype("fp16", gpu) == torch.float16
    with pytest.raises(UserError, match="run.amp: fp16 needs a GPU"):
        autocast_dtype("fp16", cpu)
    with pytest.raises(UserError, match="run.amp is 'fp8', but must be auto, false, true, bf16 or fp16"):
        autocast_dtype("fp8", cpu)
