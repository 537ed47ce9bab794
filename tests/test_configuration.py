"""Loading of file, options and defaults; tests/schema checks the settings themselves."""

import argparse
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.errors import UserError

RECIPE = Path(__file__).parents[1] / "projects" / "fashionfae" / "pretrain.yaml"


def load(*options, path=RECIPE):
    return load_config(argparse.Namespace(cfg_path=path, options=list(options)))


def test_values_of_options_are_yaml():
    run = load("run.max_iters=8", "run.init_lr=1e-4", "run.test_splits=[]", "run.steps[0].ratio=0.5").run_cfg
    assert (run.max_iters, run.init_lr, run.test_splits, run.steps[0].ratio) == (8, 1e-4, [], 0.5)
    assert run.steps[1] == {"objectives": ["itc", "mlm", "aetp"], "ratio": 0.38}
    run = load("run.lr_scale={scale: 1}", "run.max_iters=${run.batch_size_train}").run_cfg
    assert run.lr_scale.scale == 1 and run.lr_scale.promotion == 3 and run.max_iters == 32


def test_options_reach_the_defaults_of_model_and_dataset():
    cfg = load("model.max_length=96", "datasets.fashiongen_mini.double_view=True")
    assert cfg.model_cfg.max_length == 96 and cfg.model_cfg.fusion_encoder.split == 1
    assert cfg.datasets_cfg.fashiongen_mini.double_view and cfg.datasets_cfg.fashiongen_mini.label is None
    assert cfg.config.preprocess.text_processor.eval.name == "fashionfae_text"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("run.max_iters", "--options takes KEY=VALUE, such as run.max_iters=100, not 'run.max_iters'"),
        ("run=5", "`run` is a section"),
        ('run.batch_size_train="8"', "run.batch_size_train is '8', but must be a whole number"),
        ("run.max_iters=[1", "'run.max_iters=[1' does not fit the file: line 1, column 3: expected ',' or ']'"),
        ("run.steps[9].ratio=1", "'run.steps[9].ratio=1' does not fit the file"),
        ("run[=1", "lacks the section `run`"),
        (f"run.{'a.' * 5000}a=1", "the key is nested more than 20 levels deep"),
        (f"run.steps={'[' * 5000}", "nested more than 20 levels deep"),
        ("run.output_dir=!!python/object/apply:pathlib.Path [a]", "run.output_dir is PosixPath('a'), but must be text"),
        ("run.output_dir=!!python/object/apply:os.system [a]", "could not determine a constructor"),
        ("run.max_iters=${nope}", "run.max_iters of .* cannot be resolved: Interpolation key 'nope' not found"),
        ("run.max_iters=${run.max_iters}", "cannot be resolved: Recursive interpolation"),
        ("run.max_iters=${oc.env:NO_SUCH_VARIABLE}", "cannot be resolved: .*NO_SUCH_VARIABLE"),
        ("run.max_iters=???", "run.max_iters of .* cannot be resolved: Missing mandatory value"),
        ("modle.arch=fashionfae", "modle is not a setting; did you mean model?"),
        ("datasets.fashiongen_mini=3", "datasets.fashiongen_mini must be a mapping"),
        ("datasets.fashiongen_mini.type=other", "`datasets.fashiongen_mini.type`: fashiongen_mini has no 'other'"),
        ("model.image_encoder=[1]", "model.image_encoder must be a mapping"),
        ("model.model_type=[mini]", "`model.model_type` is .*, but must be a name"),
        ("model.model_type=null", "`model.model_type` is not set: set it to one of base, mini, small"),
        ("model.arch=null", "`model.arch` is not set"),
        ("model.arch=1", "`model.arch` is 1, but must be a name"),
    ],
)
def test_an_option_that_cannot_be_meant_is_one_sentence(option, message):
    with pytest.raises(UserError) as caught:
        load(option)
    found = str(caught.value)
    assert all(part in found for part in message.split(".*")), found
    assert "\n" not in found


def test_interpolations_of_a_whole_section_are_named(tmp_path):
    config = OmegaConf.load(RECIPE)
    config.run = "${nope}"
    OmegaConf.save(config, tmp_path / "config.yaml")
    with pytest.raises(UserError, match="config.yaml cannot be resolved"):
        load(path=tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.arch", "fashonfae", "`model.arch`: LAVIS knows no 'fashonfae'; did you mean fashionfae"),
        (
            "datasets",
            {"fashiongen_mimi": {}},
            "`datasets`: LAVIS knows no 'fashiongen_mimi'; did you mean fashiongen_mini",
        ),
        ("run.task", "pretrain", "`run.task`: LAVIS knows no 'pretrain'"),
        ("run.runner", "runner", "`run.runner`: LAVIS knows no 'runner'"),
        ("model.model_type", "minni", "fashionfae has no 'minni'; did you mean mini"),
        ("model", None, "lacks the section `model`"),
        ("run", None, "lacks the section `run`"),
    ],
)
def test_mistakes_in_the_file_are_named_by_key(tmp_path, key, value, message):
    config = OmegaConf.load(RECIPE)
    OmegaConf.update(config, key, value, merge=False)
    OmegaConf.save(config, tmp_path / "config.yaml")
    with pytest.raises(UserError, match=message):
        load(path=tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.arch=fashonfae", "`model.arch`: LAVIS knows no 'fashonfae'; did you mean fashionfae"),
        ("datasets.fashiongem.label=category", "knows no 'fashiongem'; did you mean .*imported"),
        (
            "run.task=fashionfae_pretrian",
            "`run.task`: LAVIS knows no 'fashionfae_pretrian'; did you mean fashionfae_pr",
        ),
        ("run.runner=fashionfae_runer", "`run.runner`: LAVIS knows no 'fashionfae_runer'; did you mean fashionfae_ru"),
        ("run=3", "--options: `run` is a section|--options do not fit the file"),
        ("model=3", "--options: `model` is a section|--options do not fit the file"),
    ],
)
def test_names_in_options_are_checked_as_those_in_the_file(option, message):
    with pytest.raises(UserError, match=message):
        load(option)


def test_a_model_named_by_options_brings_its_own_defaults():
    path = RECIPE.with_name("retrieval_eval.yaml")

    def model(*options):
        return load(*options, path=path).model_cfg

    assert (model().image_size, model().fusion_encoder.hidden_size) == (112, 128)
    sizes = [
        f"datasets.fashiongen_mini.vis_processor.{split}={{resize: 256, image_size: 224}}"
        for split in ("train", "eval")
    ]
    base = model("model.model_type=base", *sizes)
    assert (base.model_type, base.image_size, base.vit) == ("base", 224, "google/vit-base-patch16-224-in21k")
    blip = model("model.arch=blip_feature_extractor", "model.model_type=base")
    assert blip.arch == "blip_feature_extractor" and blip.med_config_path and "fusion_encoder" not in blip


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("model: [mini\nrun: }")
    with pytest.raises(UserError, match="config.yaml is not a yaml configuration") as caught:
        load(path=tmp_path / "config.yaml")
    assert "\n" not in str(caught.value)
