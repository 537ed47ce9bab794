"""Missing files, and processes with different configurations, are told at the start of a run."""

import argparse
from pathlib import Path

import pytest
from two_processes import run_in_two_processes

from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.preflight import check_files, check_same_on_all_processes, flat_settings

PROJECTS = Path(__file__).parents[1] / "projects"


def load(recipe, *options):
    return load_config(argparse.Namespace(cfg_path=PROJECTS / recipe, options=list(options)))


@pytest.mark.parametrize(
    ("recipe", "option", "message"),
    [
        ("pretrain", "run.resume_ckpt_path=none.pth", "run.resume_ckpt_path: there is no checkpoint file /.*none.pth"),
        ("pretrain", "model.pretrained=mini_encoder.safetensors", "did you mean mini_encoders.safetensors?"),
        (
            "pretrain",
            "model.pretrained=none.pth",
            "model.pretrained: there is no checkpoint file none.pth; the working",
        ),
        ("pretrain", "model.pretrained=/tmp", "model.pretrained: there is no checkpoint file /tmp"),
        ("pretrain", "model.image_tokenizer.weights=none.pth", "model.image_tokenizer.weights: there is no checkpoint"),
        ("pretrain", "model.load_finetuned=True", "model.load_finetuned is true, but model.finetuned is not set"),
        (
            "pretrain",
            "model.pretrained=null",
            "model.pretrained is not set, and fashionfae mini has neither",
        ),
        ("retrieval", "model.pretrained=null", "This task starts from a pre-trained checkpoint"),
        ("retrieval", "model.load_pretrained=False", "This task starts from a pre-trained checkpoint"),
    ],
)
def test_a_missing_file_is_told_before_the_data_is_loaded(recipe, option, message):
    cfg = load(f"fashionfae/{recipe}.yaml", option)
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        check_files(cfg)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("fashionfae/pretrain", ["run.resume_ckpt_path=auto"]),
        ("fashionfae/pretrain", ["run.resume_ckpt_path=none.pth", "run.evaluate=True"]),
        ("fashionfae/pretrain", ["model.pretrained=none.pth", "model.load_pretrained=False"]),
        ("fashionfae/retrieval", ["model.pretrained=none.pth", "run.from_scratch=True"]),
        ("fashionfae/fashiongen/pretrain", []),
        ("blip/pretrain", ["model.pretrained=null"]),
        ("blip/fashiongen/retrieval", []),
    ],
)
def test_files_that_a_run_does_not_read_may_be_missing(recipe, options):
    check_files(load(f"{recipe}.yaml", *options))


def test_one_process_agrees_with_itself():
    cfg = load("fashionfae/pretrain.yaml", "run.gpu=3")
    settings = flat_settings(cfg)
    assert settings["run.max_iters"] == 1000 and settings["model.image_encoder.width"] == 128
    assert "run.gpu" not in settings  # differs between processes
    check_same_on_all_processes(settings)


PROGRAM = """
import argparse, os, sys
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.train import load_config, run_config

rank = os.environ["RANK"]
config, different, folder = sys.argv[1:]
options = ["run.device=cpu", "model.load_pretrained=False"] + ([different] if rank == "1" else [])
cfg = load_config(argparse.Namespace(cfg_path=config, options=options))
try:
    run_config(cfg)
except UserError as error:
    open(os.path.join(folder, rank), "w").write(str(error))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("different", "message"),
    [
        (
            "run.max_iters=7",
            "run.max_iters is 1000 on process 0, but 7 on process 1: start all processes with the same",
        ),
        ("run.max_minutes=7", "run.max_minutes is null on process 0, but 7 on process 1"),
    ],
)
def test_processes_with_different_configurations_stop(tmp_path, different, message):
    run_in_two_processes(PROGRAM, tmp_path, PROJECTS / "fashionfae" / "pretrain.yaml", different, tmp_path)
    for rank in "01":
        assert message in (tmp_path / rank).read_text()
