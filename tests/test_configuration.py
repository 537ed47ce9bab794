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
    assert run.steps[1] == {"objectives": ["itm"], "ratio": 0.28}
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
