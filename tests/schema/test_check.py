"""Configurations whose settings are unknown, without sense, or do not fit each other."""

import argparse
import copy
import re
from pathlib import Path

import pytest
from lavis.common.registry import registry
from lavis.runners.runner_base import RunnerBase
from lavis.tasks.base_task import BaseTask
from omegaconf import OmegaConf

from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.schema.check import check_configuration, is_ours
from fashionfae_lavis.schema.datasets import DATASETS, SPLITS
from fashionfae_lavis.schema.models import MODELS

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "projects"
RECIPES = [path for path in sorted(PROJECTS.rglob("*.yaml")) if path.parent.name != "compare"]

GRAD_CACHE = {"run.grad_cache": True, "run.accum_grad_iters": 4}


def load(path, *options, evaluate=False):
    return load_config(argparse.Namespace(cfg_path=path, options=list(options)), evaluate)


def resolved(name):
    return OmegaConf.to_container(load(PROJECTS / name).config)


@pytest.fixture(scope="module")
def recipes():
    names = ["fashionfae/pretrain", "albef/pretrain", "clip/pretrain", "fashionfae/composition", "blip/zero_shot"]
    names += ["fashionfae/joint/pretrain", "fashionfae/recognition", "blip/caption"]
    return {name: resolved(f"{name}.yaml") for name in names}


@pytest.fixture
def check(recipes):
    """Checks a recipe after setting a dotted key to a value."""

    def run(changes, recipe="fashionfae/pretrain", evaluate=False):
        config = copy.deepcopy(recipes[recipe])
        for key, value in changes.items():
            *sections, last = key.split(".")
            section = config
            for name in sections:
                section = section.setdefault(name, {})
            section[last] = value
        check_configuration(config, evaluate)

    return run


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(PROJECTS)))
def test_every_recipe_is_valid(path):
    load(path)


def options_in_comments():
    """Yields each recipe with the options that follow one `--options` in its opening comment."""
    for path in RECIPES:
        comment = " ".join(re.findall(r"^#(.*)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for segment in re.sub(r"\s+", " ", comment).split("--options")[1:]:
            found = re.findall(r"(?:run|model|datasets)\.[\w.]+=(?:\{.*?\}|\[.*?\]|[^\s,']+)", segment)
            yield path, [re.sub(r"<[^>]*>?", "x", option) for option in found]


@pytest.mark.parametrize(("path", "options"), options_in_comments())
def test_every_option_in_a_recipe_s_comment_is_valid(path, options):
    evaluated = any("checkpoint" in option for option in options)
    load(path, *options, evaluate=evaluated)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("run.max_iter", 3, "run.max_iter is not a setting; did you mean max_iters?"),
        ("run.resume_ckpt", "x", "did you mean resume_ckpt_path?"),
        ("run.foo", 3, "run.foo is not a setting; docs/configuration.md lists all settings"),
        ("run.", 3, "run.'' is not a setting"),
        ("run.max_iters", -3, "run.max_iters is -3, but must be a whole number of at least 1"),
        ("run.max_iters", 10**12, "run.max_iters is 1000000000000, but must be at most 1,000,000,000"),
        ("run.max_iters", None, "give run.max_epoch, run.max_iters or run.max_minutes"),
        ("run.max_epoch", 0, "run.max_epoch is 0, but must be a number above 0 or null"),
        ("run.max_minutes", 1e12, "run.max_minutes is 1000000000000.0, but must be at most 1,000,000,000"),
        ("run.warmup_share", 1.5, "run.warmup_share is 1.5, but must be at most 1."),
        (
            "run.warmup_share",
            0.1,
            "run.warmup_steps and run.warmup_share are both set: set the first to 0 or the secon",
        ),
        (
            "run.image_tokenizer",
            {"warmup_steps": 5, "warmup_share": 0.1},
            "run.image_tokenizer.warmup_steps and run.im",
        ),
        ("run.batch_size_train", 8.7, "run.batch_size_train is 8.7, but must be a whole number"),
        ("run.batch_size_train", 8.0, "but must be a whole number"),
        ("run.batch_size_train", "8", "run.batch_size_train is '8', but must be a whole number"),
        ("run.batch_size_train", None, "run.batch_size_train is not set, but fashionfae_runner needs it to train"),
        ("run.batch_size_eval", None, "run.batch_size_eval is not set"),
        ("run.init_lr", True, "run.init_lr is true, but must be a number above 0"),
        ("run.init_lr", float("nan"), "run.init_lr is nan, but must be a number above 0"),
        ("run.init_lr", float("inf"), "run.init_lr is inf, but must be a number above 0"),
        ("run.min_lr", 1.0, "run.min_lr is 1, but must be at most run.init_lr, 0.001"),
        ("run.max_grad_norm", -1, "run.max_grad_norm is -1, but must be a number above 0 or null"),
        ("run.accum_grad_iters", 0, "run.accum_grad_iters is 0"),
        (
            "run.grad_cache",
            True,
            "run.accum_grad_iters is 1, so an update has a single batch: raise that, or set",
        ),
        ("run.seed", -1, "run.seed is -1, but must be a whole number from 0"),
        ("run.evaluate", 1, "run.evaluate is 1, but must be true or false"),
        ("run.amp", "fp8", "run.amp is 'fp8', but must be true or false or auto, bf16 or fp16"),
        ("run.device", "gpu", "run.device is 'gpu', but must be auto, cpu or cuda"),
        ("run.optimizer", "adam", "run.optimizer is 'adam', but must be adamw or transformers_adamw"),
        ("run.lr_sched", "linear_warmup_cosine_lr", "but must be linear_warmup_cosine_iter or"),
        ("run.lr_scale", [1], "run.lr_scale is [1], but must be a mapping of names to numbers"),
        ("run.lr_scale", {"scale": "x"}, "run.lr_scale.scale is 'x', but must be a number"),
        ("run.lr_scale", {1: 2}, "run.lr_scale.1: the key 1 must be text"),
        ("run.output_dir", "", "run.output_dir is '', but must be text"),
        ("run.output_dir", "a\0b", "run.output_dir is 'a\\x00b', but must be text"),
        (
            "run.train_splits",
            ["val"],
            "fashionfae_runner trains on the split train of every dataset: set it to [train]",
        ),
        ("run.valid_splits", ["validation"], "run.valid_splits: there is no split 'validation'; known are train, val."),
        ("run.test_splits", ["vall"], "run.test_splits: there is no split 'vall'; did you mean val?"),
        ("run.valid_splits", ["auto"], "auto names a split only in run.test_splits of fashionfae_runner"),
        ("run.search_attributes", "colour", "run.search_attributes is 'colour', but must be a list of text or null"),
        ("run.search_roles", {"color": "shade"}, "run.search_roles.color is not a setting; did you mean colour?"),
        ("run.test_splits", "val", "run.test_splits is 'val', but must be a list of text or null"),
        ("run.steps", [], "run.steps is [], but must be a non-empty list"),
        ("run.steps", [{"objectives": ["itcc"]}], "run.steps[0].objectives[0] is 'itcc', but must be itc, itm, mlm,"),
        ("run.steps", [{"objectives": ["itc"], "ratio": 0}], "run.steps[0].ratio is 0, but must be a number above 0"),
        ("run.steps", [{"objective": ["itc"]}], "run.steps[0].objective is not a setting; did you mean objectives?"),
        ("run.steps", [{"ratio": 1}], "run.steps[0].objectives is not set"),
        ("run.train_dataset_ratios", {"a": 1}, "run.train_dataset_ratios needs several datasets"),
        ("run.from_scratch", True, "fashionfae_pretrain does not read it: set model.load_pretrained to False"),
        ("run.image_tokenizer.max_iter", 3, "run.image_tokenizer.max_iter is not a setting; did you mean max_iters?"),
        ("run.image_tokenizer.max_iters", 0, "run.image_tokenizer.max_iters is 0"),
        (
            "run.image_tokenizer.min_lr",
            1,
            "run.image_tokenizer.min_lr is 1, but must be at most run.image_tokenizer.ini",
        ),
        ("model.image_sise", 3, "model.image_sise is not a setting of fashionfae; did you mean image_size?"),
        ("model.image_size", 100, "model.image_size is 100, but must be a multiple of model.image_encoder.patch_size"),
        ("model.image_encoder.hieght", 1, "model.image_encoder.hieght is not a setting of fashionfae"),
        ("model.image_encoder", None, "model.image_encoder is null, but must be a mapping"),
        (
            "model.image_encoder.heads",
            3,
            "model.image_encoder.width is 128, but must be a multiple of model.image_enco",
        ),
        ("model.image_encoder.stem", [24, 48], "model.image_encoder.stem has 2 convolutions, which make patches of 4"),
        ("model.image_encoder.stem", [24, 48, 96, 100], "has 100 channels, which cannot be divided into groups"),
        ("model.fusion_encoder.hidden_size", 64, "model.fusion_encoder.hidden_size (64) must be equal"),
        ("model.fusion_encoder.split", 4, "model.fusion_encoder.split is 4, but must be at most num_hidden_layers"),
        ("model.fusion_encoder.num_hiden_layers", 4, "did you mean num_hidden_layers?"),
        (
            "model.fusion_encoder.max_position_embeddings",
            49,
            "model.max_length is 120, but must be at most model.fusion",
        ),
        ("model.max_length", 129, "model.max_length is 129, but must be at most model.fusion_encoder.max_position_emb"),
        ("model.apir.masked_patches", 50, "model.apir.masked_patches is 50, but must be from 1 to 49"),
        ("model.image_tokenizer.multipliers", [1, 2], "has 2 levels, which make 56 x 56 codes, but 7 x 7 patches"),
        ("model.image_tokenizer.channels", 9, "model.image_tokenizer.channels is 9, which makes 9 channels"),
        ("model.image_tokenizer", None, "model.image_tokenizer is not set"),
        ("model.use_text", False, "model.use_text is false, but fashionfae is no recognition model"),
        ("run.task", "retrieval", "LAVIS's retrieval cannot evaluate fashiongen_mini: set it to fashion_retrieval"),
        ("datasets.fashiongen_mini.lable", "category", "is not a setting of fashiongen_mini; did you mean label?"),
        ("datasets.fashiongen_mini.label", "colour", "label is 'colour', but must be category or sub category or null"),
        ("datasets.fashiongen_mini.label", "category", "whose text states the category to be recognised"),
        ("datasets.fashiongen_mini", None, "datasets.fashiongen_mini must be a mapping, such as {} for all defaults"),
        ("datasets.fashiongen_mini.build_info.images.storag", "x", "did you mean storage?"),
        ("datasets.fashiongen_mini.data_type", "features", "data_type is 'features', but must be images"),
        ("datasets.fashiongen_mini.vis_processor.train.image_size", 224, "but must be at most resize, 128"),
        (
            "datasets.fashiongen_mini.vis_processor.eval.image_size",
            96,
            "eval.image_size is 96, but model.image_size is 112",
        ),
        ("datasets.fashiongen_mini.vis_processor.eval.mean", [0.5], "must be a list of three numbers from 0 to 1"),
        ("datasets.fashiongen_mini.vis_processor.eval.size", 96, "eval.size is not a setting of fashiongen_mini; did"),
        ("datasets.fashiongen_mini.vis_processor.test", {}, "vis_processor.test is not a setting"),
        (
            "datasets.fashiongen_mini.text_processor.train.mode",
            "title",
            "mode is 'title', but must be description, des",
        ),
        ("datasets.fashiongen_mini.text_processor.train.name", "fashionfae_txt", "did you mean fashionfae_text?"),
        ("datasets.fashiongen_mini.text_processor.train.name", "fashionfae_caption", "which cannot read products"),
        ("datasets.fashiongen_mini.text_processor.train.name", "blip_caption", "which cannot read products"),
        ("preprocess.vis_processor.train.resise", 3, "preprocess.vis_processor.train.resise is not a setting; did you"),
    ],
)
def test_a_setting_without_sense_is_one_sentence(check, key, value, message):
    with pytest.raises(UserError) as caught:
        check({key: value})
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (
            "albef/pretrain",
            {"run.batch_size_train": 48},
            "model.queue_size is 512, but must be a multiple of run.batch",
        ),
        ("albef/pretrain", {"model.text_encoder.fusion_layer": 9}, "fusion_layer is 9, but must be at most num_hidden"),
        ("albef/pretrain", {"model.arch": "fashion_albef_recognition"}, "set run.task to fashion_recognition"),
        ("albef/pretrain", {"run.image_tokenizer": {"max_iters": 1}}, "but fashion_albef has none"),
        (
            "fashionfae/composition",
            GRAD_CACHE,
            "fashion_composition with fashionfae_runner trains no ITC: set",
        ),
        (
            "clip/pretrain",
            {**GRAD_CACHE, "run.runner": "runner_base", "run.max_epoch": 1},
            "fashion_pretrain with runner_base trains no ITC",
        ),
        ("fashionfae/joint/pretrain", GRAD_CACHE, ": train on one dataset, or set run.grad_cache to false."),
        (
            "fashionfae/pretrain",
            {"run.max_iters": None, "run.max_minutes": 5},
            "run.warmup_steps counts updates, whose number run.max_minutes leaves open: set it to 0 and give run",
        ),
        (
            "albef/pretrain",
            {"run.max_iters": None, "run.max_minutes": 5, "run.warmup_steps": 0, "run.milestones": [3]},
            "run.milestones counts updates, whose number run.max_minutes leaves open: give run.max_iters, too",
        ),
        ("clip/pretrain", {"model.text_encoder.heads": 3}, "model.text_encoder.width is 128, but must be a multiple"),
        ("clip/pretrain", {"model.momentum": 0.9}, "model.momentum is not a setting of fashion_clip"),
        ("fashionfae/composition", {"datasets.fashioniq_mini.double_view": True}, "double_view is not a setting"),
        ("fashionfae/recognition", {"datasets.fashiongen": {}}, "datasets.fashiongen.build_info is not set"),
        ("blip/caption", {"run.min_len": 50}, "run.min_len is 50, but must be at most run.max_len, which is"),
        (
            "fashionfae/joint/pretrain",
            {"run.test_splits": ["fashiongen.val"]},
            "did you mean fashionvil_fashiongen.val",
        ),
        ("fashionfae/joint/pretrain", {"run.train_dataset_ratios": {"a": 1}}, "'a' is not trained on"),
        ("blip/zero_shot", {"model.pretraned": "x"}, "model.pretraned is not a setting; did you mean pretrained?"),
    ],
)
def test_settings_of_other_recipes(check, recipe, changes, message):
    with pytest.raises(UserError) as caught:
        check(changes, recipe)
    assert message in str(caught.value)


@pytest.mark.parametrize("task", ["attribute_probe", "product_search"])
def test_a_task_that_only_evaluates_does_not_train(check, task):
    with pytest.raises(UserError, match=f"run.task is {task}, which trains nothing: run it with `python -m lavis.eval"):
        check({"run.task": task})
    check({"run.task": task}, evaluate=True)
    check({"run.task": task, "run.evaluate": True})


def test_an_evaluation_needs_no_settings_of_training(check):
    changes = {"run.max_iters": None, "run.init_lr": None, "run.batch_size_train": None, "run.train_splits": []}
    check(changes, evaluate=True)
    check({**changes, "run.evaluate": True})
    with pytest.raises(UserError):
        check(changes)


def test_settings_that_look_unusual_but_make_sense(check):
    check({"run.max_iters": 2, "run.test_splits": [], "run.warmup_steps": 100})  # a quick check of a change
    check({"run.weight_decay": 0, "run.init_lr": 1, "run.amp": True, "run.device": "cuda:1", "run.valid_splits": None})
    check({"run.test_splits": ["auto"], "run.search_roles": {"colour": "shade"}})
    check({"run.steps": None, "run.task": "aetp", "run.max_iters": None, "run.max_epoch": 3})
    check({"run.max_iters": None, "run.max_epoch": 0.5, "run.warmup_steps": 0, "run.warmup_share": 0})
    minutes = {"run.max_minutes": 5, "run.warmup_steps": 0, "run.warmup_share": 0.05}
    check({**minutes, "run.max_iters": None})
    check({"run.max_minutes": 5, "run.milestones": [100]})  # of the 1,000 updates that are scaled to the minutes
    check({"run.distributed": True, "run.gpu": 0, "run.rank": 0, "run.world_size": 1, "run.dist_url": "env://"})


def test_lavis_s_own_models_datasets_and_runners_may_have_their_keys(check, recipes):
    check({"model.num_beam_groups": 4, "model.vit_grad_ckpt": True}, "blip/zero_shot")
    lavis = {"run.runner": "runner_base", "run.max_epoch": 1, "run.min_lr": 0, "run.save_freq": 3, "run.warmup_lr": -1}
    check({**lavis, "run.image_tokenizer": None})
    with pytest.raises(UserError, match="auto names a split only in run.test_splits of fashionfae_runner"):
        check({**lavis, "run.image_tokenizer": None, "run.test_splits": ["auto"]})
    with pytest.raises(UserError, match="run.max_epoch is not set, but runner_base needs it to train"):
        check({"run.runner": "runner_base"})
    with pytest.raises(UserError, match="run.max_epoch is 1.5, but runner_base needs a whole number"):
        check({**lavis, "run.image_tokenizer": None, "run.max_epoch": 1.5})
    with pytest.raises(UserError, match="run.max_epochs is not a setting; did you mean max_epoch"):
        check({**lavis, "run.max_epochs": 3})


def test_your_own_task_and_runner_may_have_their_keys(check, monkeypatch):
    class OwnTask(BaseTask):
        pass

    class OwnRunner(RunnerBase):
        pass

    monkeypatch.setitem(registry.mapping["task_name_mapping"], "own", OwnTask)
    monkeypatch.setitem(registry.mapping["runner_name_mapping"], "own", OwnRunner)
    for own in ({"run.task": "own"}, {"run.runner": "own"}):
        check({**own, "run.temperature_of_mine": 3})
        with pytest.raises(UserError, match="run.max_iter is not a setting; did you mean max_iters"):
            check({**own, "run.max_iter": 3})
        with pytest.raises(UserError, match="run.seed is -1"):
            check({**own, "run.seed": -1})


def test_every_registered_class_of_this_package_has_a_schema():
    registered = registry.mapping
    assert {name for name, kind in registered["model_name_mapping"].items() if is_ours(kind)} == MODELS.keys()
    assert {name for name, kind in registered["builder_name_mapping"].items() if is_ours(kind)} == DATASETS.keys()
    assert all(any(issubclass(kind, known) for known in SPLITS) for kind in DATASETS.values())


def test_a_configuration_written_by_version_0_1_is_valid(tmp_path):
    path = ROOT / "tests" / "data" / "version_0_1" / "config.yaml"
    assert load(path).run_cfg.max_iters == 12


def test_the_first_stage_of_a_run_with_gradient_caching_caches_none(check):
    check({**GRAD_CACHE, "run.image_tokenizer": {"max_iters": 1}})
    check(GRAD_CACHE, "clip/pretrain")


def test_only_our_tasks_compile(check):
    check({"run.compile": True})
    with pytest.raises(
        UserError, match="run.compile is true, but image_text_pretrain on fashionfae_runner does not read"
    ):
        check({"run.compile": True, "run.task": "image_text_pretrain"})
