"""The command lines, end to end on a tiny model and a tiny drawn dataset."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from full_disk import full_disk
from omegaconf import OmegaConf
from programs import command, one_line, run, run_and_kill

from fashionfae_lavis import train
from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.mini import fashioniq as fashioniq_mini
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.train import continuing_command, load_config, main, report

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_attribute_probe(tmp_path, write_config):
    write_config(run__task="attribute_probe", model__load_pretrained=False)
    done = run(tmp_path, program="evaluate")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "output").iterdir()
    assert str(folder / "attribute_probe.png") in done.stdout and "AETP, prompt only" in done.stdout
    results = json.loads((folder / "results.json").read_text())["val"]["attributes"]
    assert list(results) == ["category", "sub category", "gender", "season", "composition"]
    assert results["category"]["products"] == results["category"]["aetp"]["n"] == 20


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
def test_mistakes_in_the_file_are_named_by_key(tmp_path, write_config, key, value, message):
    write_config()
    config = OmegaConf.load(tmp_path / "config.yaml")
    config.datasets = {"fashiongen_mini": {}}
    OmegaConf.update(config, key, value, merge=False)
    OmegaConf.save(config, tmp_path / "config.yaml")
    with pytest.raises(UserError, match=message):
        load_config(argparse.Namespace(cfg_path=tmp_path / "config.yaml", options=None))


def test_a_model_named_by_options_brings_its_own_defaults():
    path = Path(__file__).parents[1] / "projects" / "fashionfae" / "retrieval_eval.yaml"

    def model(*options):
        return load_config(argparse.Namespace(cfg_path=path, options=list(options) or None)).model_cfg

    assert (model().image_size, model().fusion_encoder.hidden_size) == (112, 128)
    sizes = [
        f"datasets.fashiongen_mini.vis_processor.{split}={{resize: 256, image_size: 224}}"
        for split in ("train", "eval")
    ]
    base = model("model.model_type=base", *sizes)
    assert (base.model_type, base.image_size, base.vit) == ("base", 224, "google/vit-base-patch16-224-in21k")
    blip = model("model.arch=blip_feature_extractor", "model.model_type=base")
    assert blip.arch == "blip_feature_extractor" and blip.med_config_path and "fusion_encoder" not in blip
    with pytest.raises(UserError, match="`model.arch`: LAVIS knows no 'fashonfae'; did you mean fashionfae"):
        model("model.arch=fashonfae")


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("model: [mini\nrun: }")
    with pytest.raises(UserError, match="config.yaml is not a yaml configuration") as caught:
        load_config(argparse.Namespace(cfg_path=tmp_path / "config.yaml", options=None))
    assert "\n" not in str(caught.value)


def test_a_thread_that_cannot_write_is_reported_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    with pytest.raises(SystemExit):
        main(["--cfg-path", str(tmp_path / "missing.yaml")])
    for failing, shown in (
        ((tmp_path / "a" / "b").touch, "warning: [Errno 2] "),
        (lambda: 1 / 0, "Traceback"),
    ):
        capsys.readouterr()
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        assert shown in capsys.readouterr().err


def test_the_command_that_continues_a_run(tmp_path):
    arguments = ["--cfg-path", "a b.yaml", "--options", "run.seed=3", "run.resume_ckpt_path=old.pth"]
    fresh = "python -m lavis.train --cfg-path 'a b.yaml' --options run.seed=3"
    assert continuing_command(None, arguments, False) == continuing_command(tmp_path, arguments, False) == fresh
    assert continuing_command(tmp_path, arguments[:2], False) == "python -m lavis.train --cfg-path 'a b.yaml'"
    stage = tmp_path / "image_tokenizer" / "checkpoint_last.pth"
    stage.parent.mkdir()
    stage.touch()
    continued = "python -m lavis.train --cfg-path 'a b.yaml' --options run.resume_ckpt_path="
    assert continuing_command(tmp_path, arguments, False) == f"{continued}auto run.seed=3"
    last = tmp_path / "checkpoint_last.pth"
    last.touch()
    assert continuing_command(tmp_path, arguments, False) == f"{continued}{last} run.seed=3"
    assert continuing_command(tmp_path, arguments[:2], False) == f"{continued}{last}"
    assert continuing_command(tmp_path, arguments, True) == fresh.replace("train", "evaluate")


def test_the_first_stage_trains_a_tokenizer_with_a_decoder(monkeypatch):
    """Also where APIR needs only the codes, as in the recipe at the paper's size."""
    path = Path(__file__).parents[1] / "projects" / "fashionfae" / "fashiongen" / "pretrain.yaml"
    cfg, stages = load_config(argparse.Namespace(cfg_path=path, options=None)), []
    monkeypatch.setattr(train, "run_stage", lambda stage, job_id: stages.append(stage))
    train.train_image_tokenizer(cfg, "job")
    (stage,) = stages
    assert stage.model_cfg.decoder and not cfg.model_cfg.image_tokenizer.decoder
    assert (stage.run_cfg.task, stage.run_cfg.max_iters) == ("fashionfae_image_tokenizer", 40000)
    assert stage.run_cfg.output_dir == "output/fashionfae/fashiongen/job" and "steps" not in stage.run_cfg


class Toy(EvaluationResult):
    def to_json(self):
        return {"agg_metrics": 1.5}

    def table(self):
        return "a table"

    def draw(self, folder):
        (folder / "picture.png").touch()
        return {"picture": str(folder / "picture.png")}


def test_a_report_of_one_split_and_of_two(tmp_path, capsys):
    report({"val": Toy()}, tmp_path)
    picture = tmp_path / "picture.png"
    assert json.loads((tmp_path / "results.json").read_text()) == {"val": {"agg_metrics": 1.5, "picture": str(picture)}}
    shown = capsys.readouterr().out
    assert "val\na table" in shown and str(picture) in shown and str(tmp_path / "results.json") in shown
    picture.unlink()
    report({"val": Toy(), "test": Toy()}, tmp_path)
    assert str(tmp_path / "test" / "picture.png") in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert {split: Path(result["picture"]).parent.name for split, result in results.items()} == {
        "val": "val",
        "test": "test",
    }


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by\nzero"), OSError(28, "No space left"), UserError("gone"), ImportError()]
)
def test_a_picture_that_fails_costs_no_figures(tmp_path, monkeypatch, caplog, capsys, error):
    def fail(self, folder):
        assert (tmp_path / "results.json").exists()  # which was written first
        raise error

    monkeypatch.setattr(Toy, "draw", fail)
    report({"val": Toy(), "test": Toy()}, tmp_path)
    figures = {"agg_metrics": 1.5}
    assert json.loads((tmp_path / "results.json").read_text()) == {"val": figures, "test": figures}
    assert "val\na table" in capsys.readouterr().out
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 2 and all("\n" not in line for line in warned)
    assert warned[0].startswith("The picture of val could not be drawn, which changes no result: ")


def test_a_full_disk_still_shows_the_figures(tmp_path, capsys):
    full = pytest.raises(UserError, match=r"Cannot write .*results.json \(No space left on device\)")
    with full_disk("results.json"), full:
        report({"val": Toy()}, tmp_path)
    assert "val\na table" in capsys.readouterr().out


def test_the_command_line_takes_its_arguments_or_those_of_the_process(tmp_path, capsys, monkeypatch):
    missing = str(tmp_path / "missing.yaml")
    monkeypatch.setattr("sys.argv", ["train", "--cfg-path", missing])
    for argv in (["--cfg-path", missing], None):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2 and "There is no configuration file" in capsys.readouterr().err


def test_a_missing_configuration_is_named(tmp_path):
    assert "There is no configuration file config.yaml" in one_line(run(tmp_path))


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
def test_names_in_options_are_checked_as_those_in_the_file(tmp_path, write_config, option, message):
    write_config()
    with pytest.raises(UserError, match=message):
        load_config(argparse.Namespace(cfg_path=tmp_path / "config.yaml", options=[option]))


@pytest.mark.slow
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
