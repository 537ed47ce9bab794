from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fashionfae_lavis.runners.training_settings import DEFAULTS, difference
from fashionfae_lavis.schema.run import Run

FOLDER = Path("/out/20260101_000000")
CONFIG = {
    "run": {
        "task": "fashionfae_pretrain",
        "max_iters": 12,
        "init_lr": 1e-3,
        "lr_scale": {"scale": 30},
        "steps": [{"objectives": ["itc"], "ratio": 1}],
        "lr_sched": "linear_warmup_cosine_iter",
        "num_workers": 0,
        "test_splits": ["val"],
    },
    "model": {"arch": "fashionfae", "vocabulary": "mini", "image_tokenizer": {"weights": None}},
    "datasets": {"catalogue": {"build_info": {"images": {"storage": "/data"}}, "label": "category"}},
}


def changed(**values):
    """Returns CONFIG with changed values; names are dotted keys with __ for a dot."""
    config = OmegaConf.create(CONFIG)
    for key, value in values.items():
        OmegaConf.update(config, key.replace("__", "."), value, merge=False, force_add=True)
    return OmegaConf.to_container(config)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("run.init_lr", 0.1, "run.init_lr = 0.001, not 0.1"),
        ("run.weight_decay", 0.05, "run.weight_decay = 0, not 0.05"),
        ("run.beta2", 0.98, "run.beta2 = 0.999, not 0.98"),
        ("run.min_lr", 1e-5, "run.min_lr = 0, not 1e-05"),
        ("run.warmup_steps", 5, "run.warmup_steps = 0, not 5"),
        ("run.warmup_share", 0.1, "run.warmup_share = unset, not 0.1"),
        ("run.max_iters", 24, "run.max_iters = 12, not 24"),
        ("run.max_epoch", 2.5, "run.max_epoch = unset, not 2.5"),
        ("run.max_minutes", 3, "run.max_minutes = unset, not 3"),
        ("run.amp", "bf16", "run.amp = unset, not bf16"),
        ("run.warmup_factor", 0, "run.warmup_factor = 0.25, not 0"),
        ("run.lr_scale", {"scale": 10}, "run.lr_scale.scale = 30, not 10"),
        ("run.steps", [{"objectives": ["itm"], "ratio": 1}], "run.steps = [{'objectives': ['itc'], 'ratio': 1}], not "),
        ("run.my_own_setting", 3, "run.my_own_setting = unset, not 3"),
        ("model.pretrained", "other.pth", "model.pretrained = unset, not other.pth"),
        ("model.image_tokenizer.weights", "mini", "model.image_tokenizer.weights = unset, not mini"),
        ("datasets.catalogue.label", "colour", "datasets.catalogue.label = category, not colour"),
    ],
)
def test_a_setting_that_determines_the_training_is_named(key, value, found):
    now = changed(**{key.replace(".", "__"): value})
    assert difference(CONFIG, now, FOLDER, moved=True).startswith(found)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run.num_workers", 4),
        ("run.device", "cuda"),
        ("run.log_freq", 1),
        ("run.output_dir", "elsewhere"),
        ("run.iters_per_inner_epoch", 2),
        ("run.checkpoint_minutes", 10),
        ("run.test_splits", []),
        ("run.beta2", 0.999),  # the default, written down
        ("run.amp", False),
        ("run.compile", True),
        ("run.valid_splits", []),
        ("model.image_tokenizer.weights", "/elsewhere/20260101_000000/image_tokenizer/checkpoint_last.pth"),
    ],
)
def test_other_settings_may_change(key, value):
    now = changed(**{key.replace(".", "__"): value})
    assert difference(CONFIG, now, FOLDER) is None and difference(now, CONFIG, FOLDER) is None


def test_files_may_move_if_the_checkpoint_is_named():
    moved = changed(datasets__catalogue__build_info__images__storage="/disk", model__vocabulary="/disk/words")
    assert difference(CONFIG, moved, FOLDER, moved=True) is None
    assert difference(CONFIG, moved, FOLDER) == "model.vocabulary = mini, not /disk/words"


def test_a_run_may_become_longer_if_its_schedule_ignores_the_length():
    steps = changed(run__lr_sched="linear_warmup_multistep_iter")
    longer = changed(run__lr_sched="linear_warmup_multistep_iter", run__max_iters=24)
    assert difference(steps, longer, FOLDER) is None
    assert difference(longer, steps, FOLDER) == "run.max_iters = 24, not 12"
    epochs, more = ({**steps, "run": {**steps["run"], "max_epoch": epochs}} for epochs in (1, 1.5))
    assert difference(epochs, more, FOLDER) is None
    for key, value in (("warmup_share", 0.1), ("max_minutes", 3)):  # these depend on the length
        before, now = ({**config, "run": {**config["run"], key: value}} for config in (steps, longer))
        assert difference(before, now, FOLDER) == "run.max_iters = 12, not 24"


def test_a_setting_that_was_turned_off_is_named_as_it_is_written():
    off, on = changed(run__amp=False), changed(run__amp="bf16")
    assert difference(off, on, FOLDER) == "run.amp = false, not bf16"
    assert difference(on, off, FOLDER) == "run.amp = bf16, not false"
    assert difference(changed(run__amp=True), off, FOLDER) == "run.amp = true, not false"
    assert difference(changed(run__amp=""), on, FOLDER) == "run.amp = unset, not bf16"
    assert difference(off, changed(), FOLDER) is None


def test_a_path_is_named_as_it_is_written():
    own = changed(model__image_tokenizer__weights=str(FOLDER / "image_tokenizer/checkpoint_last.pth"))
    other = changed(model__image_tokenizer__weights="/Runs/b.pth")
    assert difference(own, other, FOLDER) == (
        "model.image_tokenizer.weights = /out/20260101_000000/image_tokenizer/checkpoint_last.pth, not /Runs/b.pth"
    )


def test_the_defaults_are_those_of_the_schema():
    assert {key: Run.model_fields[key.removeprefix("run.")].default for key in DEFAULTS} == DEFAULTS
