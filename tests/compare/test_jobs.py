"""A tiny plan from its command to its report: killed and resumed, changed, and with protocols that differ."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import programs
import pytest
from omegaconf import OmegaConf
from tiny import CONFIG

from fashionfae_lavis.cli import main
from fashionfae_lavis.compare import jobs
from fashionfae_lavis.mini.fashiongen import prepare

UPDATES = 20


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The folder of a small dataset."""
    folder = tmp_path_factory.mktemp("data")
    prepare(folder, train_products=40, validation_products=20, image_size=64)
    return folder


@pytest.fixture
def workplace(tmp_path, drawn):
    """A folder with the configurations of a training and its evaluations, and a plan that names them."""
    vis = {split: {"name": f"fashionfae_image_{split}", "resize": 32, "image_size": 32} for split in ("train", "eval")}
    data = {"build_info": {"images": {"storage": str(drawn)}}, "vis_processor": vis}
    run = {
        "runner": "fashionfae_runner",
        "device": "cpu",
        "output_dir": "output",
        "batch_size_train": 8,
        "batch_size_eval": 16,
        "init_lr": 1e-3,
        "lr_sched": "linear_warmup_cosine_iter",
        "train_splits": ["train"],
        "test_splits": ["val"],
    }
    model = OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    tuned = {"data": {"label": "category", "text_processor": {"eval": {"mode": "recognition"}}}}
    tuned["data"]["text_processor"]["train"] = {"mode": "recognition"}
    parts = {
        "train": {"run": {"task": "fashionfae_pretrain", "test_splits": []}},
        "retrieval": {
            "run": {"task": "fashion_retrieval", "evaluate": True},
            "model": {"arch": "fashionfae_retrieval"},
        },
        "recognition": {"run": {"task": "fashion_recognition"}, "model": {"arch": "fashionfae_recognition"}, **tuned},
        "probe": {"run": {"task": "attribute_probe", "evaluate": True, "probe_products": 12}},
    }
    for name, part in parts.items():
        config = {
            "model": {**model, **part.get("model", {})},
            "datasets": {"fashiongen": {**data, **part.get("data", {})}},
            "run": {**run, **part["run"]},
        }
        OmegaConf.save(OmegaConf.create(config), tmp_path / f"{name}.yaml")
    write_plan(tmp_path)
    return tmp_path


def write_plan(folder, lr=1e-3):
    steps = {"itc": [{"objectives": ["itc"]}], "itc + mlm": [{"objectives": ["itc"]}, {"objectives": ["mlm"]}]}
    plan = {
        "title": "A tiny plan",
        "output": "compared",
        "report": "docs/results.md",
        "seeds": [3],
        "training": {"run.max_iters": UPDATES, "run.iters_per_inner_epoch": 4},
        "evaluations": {
            "retrieval": {"config": "retrieval.yaml"},
            "recognition": {"config": "recognition.yaml", "options": {"run.max_iters": 2}},
            "probe": {"config": "probe.yaml"},
        },
        "systems": {
            "itc": {"config": "train.yaml", "options": {"run.steps": steps["itc"]}},
            "itc + mlm": {
                "config": "train.yaml",
                "options": {"run.steps": steps["itc + mlm"], "run.init_lr": lr},
                "evaluations": {"recognition": None, "probe": None},
            },
        },
    }
    OmegaConf.save(OmegaConf.create(plan), folder / "plan.yaml")


def start(folder):
    """Starts a comparison, whose programs are interpreters of their own, in a new process group."""
    return programs.start(
        ["-m", "fashionfae_lavis.cli", "compare", "--cfg-path", "plan.yaml"], folder, new_session=True
    )


class Forked:
    """A program of a comparison in a fork that has LAVIS imported; the part of `subprocess.Popen` that jobs use."""

    def __init__(self, command, stdout, stderr):
        self.program, self.log = programs.start(command[1:], Path.cwd()), stdout

    def wait(self):
        status = self.program.wait()
        self.log.write(self.program.stdout + self.program.stderr)
        return status


@pytest.fixture
def compare(workplace, monkeypatch, capsys):
    """Runs `fashionfae compare` in this process and its programs in forks; returns status and output."""
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(jobs, "subprocess", SimpleNamespace(Popen=Forked, STDOUT=subprocess.STDOUT))

    def compare(*arguments):
        capsys.readouterr()
        try:
            main(["compare", *map(str, arguments)])
            status = 0
        except SystemExit as stop:
            status = stop.code
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return compare


def started_program(folder, comparison):
    """Waits until the comparison has started a program that holds its lock; returns the program's process id."""
    holder, deadline = folder / "compared" / ".program.lock.pid", time.monotonic() + 300
    while True:
        assert comparison.poll() is None and time.monotonic() < deadline
        process = int(holder.read_text() or 0) if holder.exists() else 0
        if process not in (0, comparison.pid):
            return process
        time.sleep(0.005)


def results_of(folder):
    paths = sorted((folder / "compared").glob("*/seed3/*.json"))
    return {str(path.relative_to(folder / "compared").with_suffix("")): json.loads(path.read_text()) for path in paths}


@pytest.mark.slow
def test_a_plan_from_its_command_to_its_report(workplace, compare):
    # Killed together with the program it runs, when the first training has written a checkpoint.
    process = start(workplace)
    deadline = time.monotonic() + 300
    while not list((workplace / "compared").glob("itc/seed3/training-*/*/checkpoint_last.pth")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGSTOP)  # stops here and keeps its locks
    busy = compare("--cfg-path", "plan.yaml")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (
        busy.returncode == 2 and f"Another comparison is running in compared (process {process.pid})" in busy.stderr
    ), busy.stderr
    assert results_of(workplace) == {}

    done = compare("--cfg-path", "plan.yaml")
    assert done.returncode == 0, done.stderr
    log = (workplace / "compared" / "itc" / "seed3" / "training.log").read_text()
    assert 4 <= int(re.search(r"Resuming .* after iteration (\d+)", log)[1]) <= UPDATES
    first = results_of(workplace)
    assert list(first) == [
        "itc/seed3/probe",
        "itc/seed3/recognition",
        "itc/seed3/retrieval",
        "itc/seed3/training",
        "itc-mlm/seed3/retrieval",
        "itc-mlm/seed3/training",
    ]
    figures = first["itc/seed3/training"]["figures"]
    assert (figures["updates"], figures["samples"]) == (UPDATES, 8 * UPDATES) and figures["milliseconds"] > 0
    assert re.match(r"\d+ cores? of ", first["itc/seed3/probe"]["hardware"])

    # The table holds what the runs wrote.
    folder = workplace / "compared" / "itc" / "seed3"
    (written,) = folder.glob("retrieval-*/*/results.json")
    mean = json.loads(written.read_text())["val"]["description"]["full"]["mean"]
    (row, _) = csv.DictReader((workplace / "compared" / "table.csv").open())
    assert (row["system"], row["seed"]) == ("itc", "3")
    assert float(row["retrieval.description.full.mean"]) == mean
    assert float(row["updates"]) == UPDATES and row["recognition.accuracy"] and row["probe.pairs"]
    report = (workplace / "docs" / "results.md").read_text()
    assert f" {mean:.2f}" in report and "`fashionfae compare --cfg-path plan.yaml`" in report
    assert f"Measured on {first['itc/seed3/probe']['hardware']}." in report
    assert (workplace / "docs" / "compare_plan.png").stat().st_size > 0
    tables = [path.read_bytes() for path in (workplace / "compared").glob("table.*")]

    # Nothing is left to run. Then one system's configuration changes, and only its jobs run.
    again = compare("--cfg-path", "plan.yaml")
    assert again.stdout.count("finished earlier") == 6 and ": running" not in again.stdout
    assert [path.read_bytes() for path in (workplace / "compared").glob("table.*")] == tables
    write_plan(workplace, lr=5e-3)
    changed = compare("--cfg-path", "plan.yaml")
    assert changed.returncode == 0, changed.stderr
    assert changed.stdout.count("finished earlier") == 4
    assert "running again, because configuration.run.init_lr has changed from 0.001 to 0.005" in changed.stdout
    second = results_of(workplace)
    differ = [name for name in first if first[name] != second[name]]
    assert differ == ["itc-mlm/seed3/retrieval", "itc-mlm/seed3/training"]

    # On another machine: the results are there, the runs are not. A training runs again only if it is needed.
    for path in (*(workplace / "compared").glob("*/seed3/*.json"), *(workplace / "compared").glob("*/seed3/*.npz")):
        assert str(workplace).encode() not in path.read_bytes(), path
    for runs in (workplace / "compared").glob("*/seed3/*-*/"):
        runs.rename(workplace / f"kept-{runs.name}")
    shutil.copytree(
        workplace / "compared", workplace / "finished" / "plan", ignore=lambda *_: ["table.md", "table.csv"]
    )
    shutil.rmtree(workplace / "compared")
    moved = compare("--cfg-path", "plan.yaml")
    assert moved.returncode == 0 and moved.stdout.count("finished earlier") == 6, moved.stderr
    for results in (folder, workplace / "finished" / "plan" / "itc" / "seed3"):
        (results / "probe.json").unlink()
        (results / "probe.npz").unlink()
    repeated = compare("--cfg-path", "plan.yaml")
    assert repeated.returncode == 0 and repeated.stdout.count("finished earlier") == 2, repeated.stderr
    assert "itc, seed 3, training: running again, because its checkpoint is missing" in repeated.stdout
    third = results_of(workplace)
    (row, _) = csv.DictReader((workplace / "compared" / "table.csv").open())
    assert third["itc/seed3/probe"]["outcome"] == second["itc/seed3/probe"]["outcome"]
    with np.load(folder / "probe.npz") as hits:
        pairs = third["itc/seed3/probe"]["outcome"]["figures"]["probe.pairs"]
        assert 100 * np.nanmean(hits["probe.pairs"], axis=0).mean() == pytest.approx(pairs)

    # A result by another protocol, such as that of an older dataset.
    path = folder / "retrieval.json"
    result = json.loads(path.read_text())
    result["outcome"]["protocol"]["lists of the sub-test"] = "others"
    path.write_text(json.dumps(result))
    refused = compare("--cfg-path", "plan.yaml")
    assert refused.returncode == 2
    assert "The retrieval of itc and of itc + mlm cannot be compared: their lists of the sub-test" in refused.stderr

    # The same runs, named one by one.
    runs = [*folder.glob("probe-*/*/"), *folder.glob("retrieval-*/*/")]
    named = compare(*runs, "--output", "named")
    assert named.returncode == 0, named.stderr
    (line,) = csv.DictReader((workplace / "named" / "table.csv").open())
    for name, value in line.items():
        assert name in ("system", "seed") or float(value) == float(row[name]), name
    assert Path(workplace / line["system"] / "checkpoint_last.pth").is_file() and line["updates"] == str(UPDATES)


@pytest.mark.slow
def test_a_job_that_fails_is_named_with_its_reason(workplace, compare):
    config = OmegaConf.load(workplace / "train.yaml")
    config.run.init_lr = 1e30
    OmegaConf.save(config, workplace / "train.yaml")
    failed = compare("--cfg-path", "plan.yaml")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1, failed.stderr
    assert "itc, seed 3, training ended with status 2, see compared/itc/seed3/training.log: The loss" in failed.stderr
    assert "is not finite at iteration" in failed.stderr
    assert results_of(workplace) == {}


@pytest.mark.slow
def test_a_terminated_comparison_ends_its_program(workplace):
    process = start(workplace)
    program = started_program(workplace, process)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(program, 0)


@pytest.mark.slow
def test_a_program_that_outlives_its_comparison_keeps_the_folder_locked(workplace, compare):
    process = start(workplace)
    program = started_program(workplace, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.kill(program, signal.SIGSTOP)
    try:
        busy = compare("--cfg-path", "plan.yaml")
    finally:
        os.kill(program, signal.SIGKILL)
    assert busy.returncode == 2 and f"Another comparison is running in compared (process {program})" in busy.stderr
