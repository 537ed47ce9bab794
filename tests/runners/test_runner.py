import json
import math
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lavis.common.registry import registry
from lavis.tasks.image_text_pretrain import ImageTextPretrainTask
from programs import run_in_two_processes, run_python
from runner_toy import ToyDataset, ToyModel, ToyTask, make_runner
from torch import nn
from torch.utils.data import IterableDataset
from torch.utils.tensorboard import SummaryWriter  # noqa: F401 (slow to import: not in the first test's time)

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError

PROGRAM = str(Path(__file__).with_name("runner_toy.py"))
# The default toy run, written by version 0.1 after 8 of 12 updates.
INTERRUPTED = Path(__file__).with_name("interrupted_run.pth")


def weights(runner):
    return {name: tensor.clone() for name, tensor in runner.bare_model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def read_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_time(lines):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_a_run_trains_validates_and_tests_the_best_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ToyModel()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    runner = make_runner("out", model=model)
    results = runner.train()
    folder = tmp_path / "out" / "job"
    assert runner.output_dir == folder and registry.get_path("result_dir") == str(folder / "result")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "checkpoint_best.pth",
        "checkpoint_last.pth",
        "checkpoint_previous.pth",
        "config.yaml",
        "curves.png",
        "metrics.jsonl",
        "result",
        "tensorboard",
    }
    assert yaml.safe_load((folder / "config.yaml").read_text())["run"]["max_iters"] == 12

    lines = read_lines(folder)
    assert [line["iteration"] for line in lines if line["phase"] == "train"] == [2, 4, 6, 8, 10, 12]
    assert {"lr", "seconds", "loss", "loss_even", "loss_odd"} <= lines[0].keys()
    validation = {line["iteration"]: line["agg_metrics"] for line in lines if line["phase"] == "validation"}
    best = max(validation, key=validation.get)
    assert set(validation) == {4, 8, 12} and validation[best] < 0
    last, kept = (read_checkpoint(folder / f"checkpoint_{name}.pth") for name in ("last", "best"))
    assert (last["iters"], kept["iters"], last["best_iters"]) == (12, best, best)
    assert last["config"]["run"]["init_lr"] == 0.01
    assert equal(weights(runner), kept["model"])
    assert results["val"]["agg_metrics"] == pytest.approx(validation[best], rel=1e-5)
    assert not torch.equal(weights(runner)["even.weight"], before["even.weight"])
    assert torch.equal(kept["model"]["frozen.weight"], before["frozen.weight"])


def test_a_length_in_epochs_and_the_counters_in_the_samples(tmp_path):
    class Task(ToyTask):
        counters = []

        def train_step(self, model, samples):
            keys = ("iters", "micro_step", "epoch", "num_iters_per_epoch")
            self.counters.append([samples[key] for key in keys] + [len(samples["text_input"])])
            return super().train_step(model, samples)

    runner = make_runner(tmp_path, Task(), max_iters=None, max_epoch=2, accum_grad_iters=2, iters_per_inner_epoch=None)
    runner.train()
    assert Task.counters == [[iters, step, 0, 3, 4] for iters in range(6) for step in range(2)]
    assert [line["iteration"] for line in read_lines(runner.output_dir) if line["phase"] != "train"][:2] == [
        3,
        6,
    ]


def test_kill_and_resume_gives_the_weights_of_an_uninterrupted_run(tmp_path):
    whole = make_runner(tmp_path / "whole", test_splits=[])
    whole.train()
    killed = run_python([PROGRAM, tmp_path / "out", "die_at=9", "resume_ckpt_path=auto"], tmp_path)
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "out" / "job"
    assert read_checkpoint(folder / "checkpoint_last.pth")["iters"] == 8

    resumed = make_runner(tmp_path / "out", resume_ckpt_path="auto", test_splits=[], num_workers=1)
    resumed.train()
    assert resumed.task.seen == whole.task.seen[8:]
    last = [read_checkpoint(run.output_dir / "checkpoint_last.pth") for run in (whole, resumed)]
    assert equal(last[0]["model"], last[1]["model"])
    assert torch.equal(last[0]["rng"][0]["torch"], last[1]["rng"][0]["torch"])
    assert last[0]["best_metric"] == last[1]["best_metric"]
    assert without_time(read_lines(folder)) == without_time(read_lines(whole.output_dir))


def test_a_checkpoint_of_an_earlier_version_resumes(tmp_path):
    whole = make_runner(tmp_path / "whole", test_splits=[])
    whole.train()
    folder = tmp_path / "out" / "job"
    folder.mkdir(parents=True)
    for name in ("last", "best"):  # the validation has not improved again after update 4
        shutil.copy(INTERRUPTED, folder / f"checkpoint_{name}.pth")
    resumed = make_runner(tmp_path / "out", resume_ckpt_path="auto", test_splits=[])
    resumed.train()
    assert resumed.task.seen == whole.task.seen[8:]
    a, b = (read_checkpoint(run.output_dir / "checkpoint_last.pth") for run in (whole, resumed))
    assert a.keys() == b.keys() == {*read_checkpoint(INTERRUPTED), "unvalidated"}
    assert torch.equal(a["rng"][0]["torch"], b["rng"][0]["torch"]) and a["data_order"] == b["data_order"]
    assert (a["iters"], a["best_iters"]) == (b["iters"], b["best_iters"])
    # Not equal: another processor may round differently from the one that wrote the file.
    assert all(torch.allclose(a["model"][name], b["model"][name], atol=1e-6, rtol=1e-5) for name in a["model"])


def test_a_finished_run_resumes_to_its_evaluation(tmp_path):
    first = make_runner(tmp_path)
    results = first.train()
    lines = read_lines(first.output_dir)
    again = make_runner(tmp_path, resume_ckpt_path=str(first.output_dir / "checkpoint_last.pth"), job_id="other")
    assert again.train() == results
    assert again.task.seen == [] and again.output_dir == first.output_dir
    assert without_time(read_lines(first.output_dir)) == without_time(lines)


def test_evaluate_only_tests_the_current_weights(tmp_path):
    model = ToyModel()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    datasets = {"toy": {"val": ToyDataset(10, noise=0)}}
    runner = make_runner(tmp_path, model=model, datasets=datasets, evaluate=True)
    assert runner.train()["val"]["agg_metrics"] < 0
    assert equal(weights(runner), before) and not list(tmp_path.rglob("*.pth"))


def test_two_accumulated_batches_equal_one_of_twice_the_size(tmp_path):
    runs = [
        make_runner(tmp_path, model=ToyModel(dropout=0), job_id=str(size), batch_size_train=size, **settings)
        for size, settings in ((8, {}), (4, {"accum_grad_iters": 2}))
    ]
    for runner in runs:
        runner.train()
    once, twice = (read_checkpoint(runner.output_dir / "checkpoint_last.pth")["model"] for runner in runs)
    assert all(torch.allclose(once[name], twice[name], atol=1e-6, rtol=0) for name in once)
    losses = [[line.get("loss", 0) for line in read_lines(runner.output_dir)] for runner in runs]
    assert np.allclose(*losses, rtol=1e-4)


def test_gradients_are_clipped(tmp_path):
    runner = make_runner(tmp_path, max_iters=1, warmup_steps=0, max_grad_norm=0.01, valid_splits=[])
    before = weights(runner)
    parameters = [parameter for parameter in runner.bare_model.parameters() if parameter.requires_grad]
    runner.optimizer = torch.optim.SGD([{"params": parameters, "initial_lr": 1.0}], lr=1.0)
    runner.train()
    after = weights(runner)
    moved = math.sqrt(sum((after[name] - before[name]).square().sum().item() for name in after))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_autocast_reaches_the_model(tmp_path):
    class Model(ToyModel):
        def forward(self, samples):
            self.dtype = self.even(samples["x"]).dtype
            return super().forward(samples)

    for amp, dtype in ((False, torch.float32), ("bf16", torch.bfloat16), (True, torch.bfloat16)):
        runner = make_runner(tmp_path, model=Model(), amp=amp, max_iters=1, valid_splits=[])
        runner.train()
        assert runner.bare_model.dtype == dtype


class InfiniteGradientTask(ToyTask):
    """A finite loss whose gradient is not."""

    def train_step(self, model, samples):
        output = super().train_step(model, samples)
        if samples["iters"] == 9:
            output["loss"] = output["loss"] + (model.odd.bias * 0).sqrt().sum()
        return output


@pytest.mark.parametrize("task", [ToyTask(nan_at=9), InfiniteGradientTask()])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path, task):
    runner = make_runner(tmp_path, task)
    with pytest.raises(UserError) as error:
        runner.train()
    last = tmp_path / "job" / "checkpoint_last.pth"
    assert f"of odd is not finite at iteration 10: training has stopped and the last good checkpoint is {last}" in (
        str(error.value)
    )
    assert read_checkpoint(last)["iters"] == 8
    assert all(tensor.isfinite().all() for tensor in weights(runner).values())
    with pytest.raises(UserError, match="there is no checkpoint yet"):
        make_runner(tmp_path, ToyTask(nan_at=0), job_id="other").train()


def test_lavis_task_with_one_loss_and_no_evaluation(tmp_path):
    runner = make_runner(tmp_path, ImageTextPretrainTask())
    assert runner.train() == {"val": None}
    lines = read_lines(runner.output_dir)
    assert {line["phase"] for line in lines} == {"train"} and "loss" in lines[0]
    assert not (runner.output_dir / "checkpoint_best.pth").exists()


def test_invalid_settings(tmp_path):
    class Stream(IterableDataset):
        pass

    model = nn.Sequential()
    for settings, message in (
        ({"batch_size_train": 1}, "run.batch_size_train: 1 on 1 process"),
        ({"batch_size_train": 25}, "run.batch_size_train: 25 .* exceeds the 24 training samples"),
        ({"max_iters": None}, "give run.max_epoch, run.max_iters or run.max_minutes"),
        ({"max_minutes": 0}, "run.max_minutes is 0, but must be a number above 0"),
        ({"amp": "fp16"}, "run.amp: fp16 needs a GPU"),
        ({"resume_ckpt_path": "nothing.pth"}, "run.resume_ckpt_path: there is no checkpoint file"),
        ({"datasets": {"toy": {"val": ToyDataset()}}}, "no split 'train' .* the datasets have val"),
    ):
        with pytest.raises(UserError, match=message):
            make_runner(tmp_path, model=model, **settings)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write to .*set run.output_dir to another folder"):
        make_runner(tmp_path / "file")
    with pytest.raises(UserError, match="no split 'test' .* the datasets have train, val"):
        make_runner(tmp_path, max_iters=1, valid_splits=["test"]).train()


def test_checkpoints_that_do_not_fit(tmp_path):
    path = make_runner(tmp_path, max_iters=4).train() and tmp_path / "job" / "checkpoint_last.pth"
    for settings, message in (
        ({"batch_size_train": 2}, "was made with run.batch_size_train = 4, not 2"),
        ({"accum_grad_iters": 2}, "was made with run.accum_grad_iters = 1, not 2"),
        ({"lr_scale": {"even": 2}}, "was made with run.lr_scale.even = unset, not 2: restore this setting, or start"),
        ({"model": WiderModel()}, "is of another architecture: 1 tensors do not fit"),
    ):
        with pytest.raises(UserError, match=message):
            make_runner(tmp_path, resume_ckpt_path=str(path), **{"max_iters": 4, **settings}).train()
    torch.save({"model": {}}, path)
    with pytest.raises(UserError, match="holds weights but no training state"):
        make_runner(tmp_path, resume_ckpt_path="auto").train()


class WiderModel(ToyModel):
    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(3, 4, bias=False).requires_grad_(False)
        self.frozen.bias = nn.Parameter(torch.zeros(3), requires_grad=False)


def test_two_processes_train_like_one_with_twice_the_batch(tmp_path):
    settings = [f"save_to={tmp_path}/rank", "dropout=0", "accum_grad_iters=2"]
    run_in_two_processes([PROGRAM, tmp_path / "two", *settings], tmp_path)
    ranks = [torch.load(tmp_path / f"rank{rank}") for rank in range(2)]
    assert equal(ranks[0]["model"], ranks[1]["model"])

    single = make_runner(tmp_path / "one", model=ToyModel(dropout=0), batch_size_train=8, accum_grad_iters=2)
    single.train()
    for mine, yours, both in zip(ranks[0]["seen"], ranks[1]["seen"], single.task.seen, strict=True):
        assert sorted(mine + yours) == sorted(both)
    one, two = (read_checkpoint(tmp_path / name / "job" / "checkpoint_last.pth") for name in ("one", "two"))
    assert all(torch.allclose(one["model"][name], two["model"][name], atol=1e-6) for name in one["model"])
    assert len(two["rng"]) == 2
    losses = [
        [line["loss"] for line in read_lines(tmp_path / name / "job") if line["phase"] == "train"]
        for name in ("one", "two")
    ]
    assert np.allclose(*losses, rtol=1e-4)


def test_a_sharded_optimizer_trains_the_same_and_its_checkpoints_hold_all_of_its_state(tmp_path):
    settings = [f"save_to={tmp_path}/rank", "dropout=0", "max_grad_norm=0.5"]
    for name, options in {"whole": [], "sharded": ["shard_optimizer=true"]}.items():
        run_in_two_processes([PROGRAM, tmp_path / name, *settings, *options], tmp_path)
        ranks = [torch.load(tmp_path / f"rank{rank}") for rank in range(2)]
        assert equal(ranks[0]["model"], ranks[1]["model"])
        assert sum(rank["moments"] for rank in ranks) == (4 if name == "sharded" else 8)
    files = {name: tmp_path / name / "job" / "checkpoint_last.pth" for name in ("whole", "sharded")}
    whole, sharded = (read_checkpoint(path) for path in files.values())
    assert equal(whole["model"], sharded["model"])
    for number, moments in whole["optimizer"]["state"].items():
        assert equal(moments, sharded["optimizer"]["state"][number])

    # Either kind resumes the other's checkpoint.
    earlier = [f"resume_ckpt_path={path.with_name('checkpoint_previous.pth')}" for path in files.values()]
    run_in_two_processes([PROGRAM, tmp_path / "whole", *settings, earlier[0], "shard_optimizer=true"], tmp_path)
    assert sum(torch.load(tmp_path / f"rank{rank}")["moments"] for rank in range(2)) == 4
    run_in_two_processes([PROGRAM, tmp_path / "sharded", *settings, earlier[1]], tmp_path)
    for path in files.values():
        assert equal(read_checkpoint(path)["model"], whole["model"])


def test_one_process_has_nothing_to_shard(tmp_path):
    runner = make_runner(tmp_path, shard_optimizer=True, max_iters=2, test_splits=[])
    runner.train()
    assert type(runner.optimizer) is torch.optim.AdamW


@pytest.mark.parametrize(
    ("key", "value"), [("init_lr", 1.0), ("weight_decay", 0.5), ("beta2", 0.9), ("min_lr", 1e-3), ("max_iters", 16)]
)
def test_another_training_does_not_resume_and_changes_nothing(tmp_path, key, value):
    runner = make_runner(tmp_path, max_iters=4)
    runner.train()
    folder = runner.output_dir
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    path = folder / "checkpoint_last.pth"
    settings = {"max_iters": 4, "resume_ckpt_path": str(path), key: value}
    with pytest.raises(UserError) as error:
        make_runner(tmp_path, **settings).train()
    assert f"was made with run.{key} = " in str(error.value) and f", not {value}: restore this" in str(error.value)
    assert str(error.value).endswith(f"or start a new run from the weights with model.pretrained={path}.")
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_longer_run_continues_if_its_schedule_ignores_the_length(tmp_path):
    steps = {"lr_sched": "linear_warmup_multistep_iter", "milestones": [6], "valid_splits": [], "test_splits": []}
    whole = make_runner(tmp_path / "whole", **steps)
    whole.train()
    make_runner(tmp_path, max_iters=8, **steps).train()
    longer = make_runner(tmp_path, resume_ckpt_path="auto", **steps)
    longer.train()
    assert longer.task.seen == whole.task.seen[8:] and equal(weights(longer), weights(whole))
    path = longer.output_dir / "checkpoint_last.pth"
    with pytest.raises(UserError, match="was made with run.max_iters = 12, not 8"):
        make_runner(tmp_path, max_iters=8, resume_ckpt_path=str(path), **steps).train()


class DeletingTask(ToyTask):
    """Deletes the run's folder, as a user may do by mistake."""

    def train_step(self, model, samples):
        if samples["iters"] == 2:
            shutil.rmtree(registry.get_path("output_dir"))
        return super().train_step(model, samples)


def test_a_folder_that_is_deleted_under_a_run_is_one_sentence(tmp_path):
    # TensorBoard writes in a thread of its own, whose failure may come before that of the checkpoint.
    path = rf"{tmp_path}/job/(checkpoint_last.pth|metrics.jsonl)"
    with pytest.raises(UserError, match=rf"^Cannot write {path} .No such file or directory.: free some space"):
        make_runner(tmp_path, DeletingTask()).train()


def test_a_picture_that_fails_does_not_cost_the_results(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("fashionfae_lavis.runners.curves.smooth", lambda values: 1 / 0)
    results = make_runner(tmp_path, max_iters=1, valid_splits=[]).train()
    assert results["val"]["agg_metrics"] < 0
    assert "curves.png could not be drawn, which changes no result: division by zero" in caplog.text


def test_a_checkpoint_carries_the_vocabulary_of_a_model_that_has_one(tmp_path):
    model = ToyModel()
    assert "vocabulary" not in make_runner(tmp_path, model=model).state_dict()["config"]
    model.carried_vocabulary = lambda: "words"
    assert make_runner(tmp_path, model=model, job_id="other").state_dict()["config"]["vocabulary"] == "words"
