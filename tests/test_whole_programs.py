"""The command lines, end to end on a tiny model and a tiny drawn dataset."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from programs import command, one_line, run, run_and_kill

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.mini import fashioniq as fashioniq_mini
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models import FashionFAE

pytestmark = pytest.mark.slow
TINY = OmegaConf.load(Path(__file__).with_name("tiny.yaml"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    prepare(folder, train_products=40, validation_products=20, image_size=64)
    return folder


@pytest.fixture
def write_config(tmp_path, data):
    """Writes a configuration into the working directory; arguments are dotted keys with __ for a dot."""

    def write(**changes):
        vis = {s: {"name": f"fashionfae_image_{s}", "resize": 32, "image_size": 32} for s in ("train", "eval")}
        config = OmegaConf.create(
            {
                "model": TINY.model,
                "datasets": {"fashiongen": {"build_info": {"images": {"storage": str(data)}}, "vis_processor": vis}},
                "run": {
                    "runner": "fashionfae_runner",
                    "task": "fashionfae_pretrain",
                    "output_dir": "output",
                    "device": "cpu",
                    "max_iters": 12,
                    "iters_per_inner_epoch": 4,
                    "batch_size_train": 8,
                    "batch_size_eval": 16,
                    "init_lr": 1e-3,
                    "lr_sched": "linear_warmup_cosine_iter",
                    "train_splits": ["train"],
                    "test_splits": ["val"],
                    "image_tokenizer": {"max_iters": 6},
                },
            }
        )
        for key, value in changes.items():
            OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
        OmegaConf.save(config, tmp_path / "config.yaml")

    return write


def test_main_job_and_evaluation_of_its_checkpoint(tmp_path, write_config):
    write_config()
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "output").iterdir()
    for words in (
        "codes in use",
        "I2T R@1",
        "chance, full test",
        "AETP:",
        "APIR:",
        str(folder / "curves.png"),
    ):
        assert words in done.stdout
    for name in (
        "curves.png",
        "retrieval.png",
        "results.json",
        "checkpoint_last.pth",
        "metrics.jsonl",
        "config.yaml",
    ):
        assert (folder / name).stat().st_size > 0, name
    recalls = json.loads((folder / "results.json").read_text())["val"]["description"]["full"]

    # The tokenizer of the first stage is the frozen target of the second.
    stage = torch.load(folder / "image_tokenizer" / "checkpoint_last.pth", weights_only=True)["model"]
    final = torch.load(folder / "checkpoint_last.pth", weights_only=True)
    for name, tensor in stage.items():
        assert torch.equal(final["model"][f"image_tokenizer.{name}"], tensor), name

    write_config(run__task="fashion_retrieval", run__output_dir="again")
    options = [f"model.pretrained={folder}/checkpoint_last.pth", "model.load_pretrained=true"]
    again = run(tmp_path, *options, program="evaluate")
    assert again.returncode == 0, again.stderr
    (folder,) = (tmp_path / "again").iterdir()
    assert json.loads((folder / "results.json").read_text())["val"]["description"]["full"] == recalls


def test_the_attribute_probe(tmp_path, write_config):
    write_config(run__task="attribute_probe", model__load_pretrained=False)
    done = run(tmp_path, program="evaluate")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "output").iterdir()
    assert str(folder / "attribute_probe.png") in done.stdout and "AETP, photo only" in done.stdout
    results = json.loads((folder / "results.json").read_text())["val"]["attributes"]
    assert list(results) == ["category", "sub category", "gender", "season", "composition"]
    assert results["category"]["products"] == results["category"]["aetp"]["n"] == 20


def test_fine_tuning_of_a_checkpoint_and_from_scratch_with_one_option_more(tmp_path, write_config):
    torch.manual_seed(0)
    pretrained = FashionFAE.from_config(TINY.model)
    pretrained.scale.data.fill_(3.0)
    save_safetensors(pretrained.state_dict(), {"model": {"arch": "fashionfae"}}, tmp_path / "pretrained.safetensors")
    write_config(
        model__arch="fashionfae_retrieval",
        model__load_pretrained=True,
        model__pretrained="pretrained.safetensors",
        run__task="fashion_retrieval",
        run__image_tokenizer=None,
        run__candidates="lists.json",
        datasets__fashiongen__text_processor={"train": {"mode": "description", "shuffle": True}},
    )
    runs = {"tuned": [], "scratch": ["run.from_scratch=true"]}
    for name, options in runs.items():
        done = run(tmp_path, f"run.output_dir={name}", *options)
        assert done.returncode == 0, done.stderr
        assert "description+attributes, sub-test of 101" in done.stdout and "standard deviation" in done.stdout
        (folder,) = (tmp_path / name).iterdir()
        runs[name] = torch.load(folder / "checkpoint_last.pth", weights_only=True)["model"]
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert {"loss_itc", "acc_itc"} <= lines[0].keys()
    # An update moves a weight by the learning rate, 1e-3, at most: 12 of them leave the start in sight.
    assert abs(runs["tuned"]["scale"].item() - 3) < 0.02 and abs(runs["scratch"]["scale"].item() - 4) < 0.02
    assert not torch.equal(runs["tuned"]["scale"], torch.tensor([3.0]))
    assert len(json.loads((tmp_path / "lists.json").read_text())["draws"]) == 5

    options = [f"model.pretrained={folder}/checkpoint_last.pth", "run.output_dir=again"]
    again = run(tmp_path, *options, program="evaluate")
    assert again.returncode == 0, again.stderr
    (evaluated,) = (tmp_path / "again").iterdir()
    results = [json.loads((path / "results.json").read_text())["val"] for path in (folder, evaluated)]
    assert results[0]["description"] == results[1]["description"]


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, write_config):
    # The optimizer of the released recipe, which the first stage must not inherit: its names are the model's.
    write_config(run__log_freq=1, run__optimizer="transformers_adamw", run__weight_decay=0.1, run__decay_also=["scale"])
    assert run(tmp_path, "run.output_dir=whole").returncode == 0
    (whole,) = (tmp_path / "whole").iterdir()

    killed = run_and_kill(tmp_path, "killed", after=6)  # in the second stage, after its first checkpoint
    interrupted = torch.load(killed / "checkpoint_last.pth", weights_only=True)
    assert interrupted["iters"] < 12

    resumed = run(tmp_path, "run.output_dir=killed", "run.resume_ckpt_path=auto")
    assert resumed.returncode == 0, resumed.stderr
    assert list((tmp_path / "killed").iterdir()) == [killed]
    a, b = (torch.load(f / "checkpoint_last.pth", weights_only=True)["model"] for f in (whole, killed))
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    results = [json.loads((f / "results.json").read_text())["val"]["description"] for f in (whole, killed)]
    assert results[0] == results[1]


def test_ctrl_c_prints_the_command_that_continues(tmp_path, write_config):
    """Sent to the whole process group, as a terminal does, so that the workers of the loaders get it, too."""
    write_config(run__max_iters=300, run__num_workers=1, run__image_tokenizer=None, run__test_splits=[])
    log = tmp_path / "stderr"
    with open(log, "w") as file:
        program = [sys.executable, "-W", "ignore", *command()]
        process = subprocess.Popen(program, cwd=tmp_path, stdout=file, stderr=file, start_new_session=True)
    deadline = time.monotonic() + 240
    while not list((tmp_path / "output").glob("*/checkpoint_last.pth")):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    shown = log.read_text()
    assert "Traceback" not in shown and "Stopped by SIGINT, every update is saved. To continue:" in shown
    (last,) = (tmp_path / "output").glob("*/checkpoint_last.pth")
    iters = torch.load(last, weights_only=True)["iters"]
    *_, line = shown.strip().splitlines()
    assert line.strip() == (f"python -m lavis.train --cfg-path config.yaml --options run.resume_ckpt_path={last}")
    *_, option = line.split()
    refused = run(tmp_path, option, "run.init_lr=1e-2")
    assert "run.init_lr = 0.001, not 0.01: restore this setting" in one_line(refused)
    assert torch.load(last, weights_only=True)["iters"] == iters < 300


def test_text_guided_retrieval_and_evaluation_of_its_checkpoint(tmp_path, write_config):
    fashioniq_mini.prepare(tmp_path / "fashioniq", train_pool=25, validation_pool=25, image_size=64)
    vis = {s: {"name": f"fashionfae_image_{s}", "resize": 32, "image_size": 32} for s in ("train", "eval")}
    write_config(
        model__arch="fashionfae_composition", run__task="fashion_composition", run__image_tokenizer=None, datasets=None
    )
    config = OmegaConf.load(tmp_path / "config.yaml")
    images = {"storage": str(tmp_path / "fashioniq")}
    config.datasets = {"fashioniq": {"build_info": {"images": images}, "vis_processor": vis}}
    OmegaConf.save(config, tmp_path / "config.yaml")

    assert "set model.pretrained" in one_line(run(tmp_path))
    done = run(tmp_path, "run.from_scratch=true")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "output").glob("*/checkpoint_last.pth")
    folder = folder.parent
    assert "image + text, queried images" in done.stdout and str(folder / "retrieval.png") in done.stdout
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "acc"} <= lines[0].keys()

    options = [f"model.pretrained={folder}/checkpoint_last.pth", "model.load_pretrained=true", "run.output_dir=again"]
    again = run(tmp_path, *options, program="evaluate")
    assert again.returncode == 0, again.stderr
    (evaluated,) = (tmp_path / "again").iterdir()
    results = [json.loads((path / "results.json").read_text())["val"] for path in (folder, evaluated)]
    assert results[0]["image + text"] == results[1]["image + text"]

    (tmp_path / "fashioniq" / "captions" / "cap.shirt.val.json").unlink()
    assert "cap.shirt.val.json is missing" in one_line(run(tmp_path, "run.from_scratch=true"))


def test_a_missing_configuration_is_named(tmp_path):
    assert "There is no configuration file config.yaml" in one_line(run(tmp_path))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("run.test_splits=[vall]", "run.test_splits: there is no split 'vall'; did you mean val?"),
        ("datasets.fashiongen.build_info.images.storage=/nowhere", "FashionGen, which is under licence"),
        ("run.batch_size_train=1", "run.batch_size_train"),
        ("run.max_iters", "--options takes KEY=VALUE"),
        ("datasets.fashiongen.text_processor.train.mode=title", "mode is 'title', but must be description, "),
        ("datasets.fashiongen.text_processor.eval.mode=title", "mode is 'title', but must be description, "),
        ("run.task=fashion_retrieval", "set model.pretrained to one and model.load_pretrained to True"),
    ],
)
def test_mistakes_in_options_are_one_sentence(tmp_path, write_config, option, message):
    write_config(run__image_tokenizer=None)
    assert message in one_line(run(tmp_path, option))
