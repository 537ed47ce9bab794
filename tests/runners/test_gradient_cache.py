"""Runs with `run.grad_cache`: the batches of an update are one to ITC."""

from functools import cached_property
from types import SimpleNamespace

import torch
from lavis.tasks.base_task import BaseTask
from runner_toy import make_runner
from tiny import tiny_model, tiny_samples
from torch.utils.data import Dataset

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.runners import FashionRunner
from fashionfae_lavis.tasks.pretrain import FashionFAEPretrainTask

UPDATES, PRODUCTS = 6, 48
NO_DROPOUT = {"fusion_encoder__hidden_dropout_prob": 0.0, "fusion_encoder__attention_probs_dropout_prob": 0.0}


class Products(Dataset):
    samples = tiny_samples(PRODUCTS)

    def __len__(self):
        return PRODUCTS

    def __getitem__(self, index):
        return {key: self.samples[key][index] for key in ("image", "text_input", "fields", "product_id")}

    def collater(self, samples):
        batch = {key: [sample[key] for sample in samples] for key in samples[0]}
        return batch | {key: torch.stack(batch[key]) for key in ("image", "product_id")}


class Recorded(FashionFAEPretrainTask):
    """Records objectives and product ids of each batch that the model sees."""

    def __init__(self, run):
        super().__init__(run)
        self.seen = []

    def train_step(self, model, samples):
        self.seen.append((self.sampler.at(samples["iters"]), samples["product_id"].tolist()))
        return super().train_step(model, samples)


def train(folder, monkeypatch, objectives, dropout=False, **run):
    steps = [{"objectives": [name], "ratio": 1} for name in objectives]
    run = {"steps": steps, "seed": 3, "max_iters": UPDATES, "iters_per_inner_epoch": UPDATES, **run}
    task = Recorded({"batch_size_train": 2, **run})
    model = tiny_model(**({} if dropout else NO_DROPOUT))
    with monkeypatch.context() as patch:
        patch.setattr(BaseTask, "build_model", lambda self, cfg: model)
        task.build_model(SimpleNamespace(model_cfg=SimpleNamespace(arch="fashionfae")))
    settings = {"valid_splits": [], "test_splits": [], "log_freq": 1, "warmup_steps": 0, "init_lr": 1e-3}
    datasets = {"toy": {"train": Products()}}
    settings |= {"batch_size_train": 2, "max_grad_norm": 1.0}
    runner = make_runner(folder, task, model, datasets, **{**settings, **run})
    # Adam would blow up the rounding of gradients that are zero.
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    runner.optimizer = torch.optim.SGD([{"params": parameters, "initial_lr": 0.1}], lr=0.1)
    runner.train()
    return task.seen, runner


def difference(one, other):
    """Returns the largest difference of weights, relative to the largest change by the training."""
    before, (one, other) = tiny_model().state_dict(), (runner.bare_model.state_dict() for runner in (one, other))
    change = max((one[name] - before[name]).abs().max() for name in before if one[name].is_floating_point())
    return max((one[name] - other[name]).abs().max() for name in before if one[name].is_floating_point()) / change


def test_it_trains_like_one_large_batch(tmp_path, monkeypatch):
    seen, one = train(tmp_path / "one", monkeypatch, ["itc"], batch_size_train=8)
    cached, many = train(tmp_path / "many", monkeypatch, ["itc"], accum_grad_iters=4, grad_cache=True)
    assert cached == seen and len(seen[0][1]) == 8 and many.bare_model.itc_chunk == 2
    assert difference(one, many) < 1e-5
    _, accumulated = train(tmp_path / "accumulated", monkeypatch, ["itc"], accum_grad_iters=4)
    assert difference(one, accumulated) > 0.1


def test_other_objectives_still_accumulate(tmp_path, monkeypatch):
    seen, _ = train(tmp_path / "cached", monkeypatch, ["itc", "itm"], accum_grad_iters=4, grad_cache=True)
    plain, _ = train(tmp_path / "plain", monkeypatch, ["itc", "itm"], accum_grad_iters=4)
    assert {(objectives, len(products)) for objectives, products in seen} == {(("itc",), 8), (("itm",), 2)}
    assert sum((products for _, products in seen), []) == sum((products for _, products in plain), [])


def test_a_run_resumes_exactly(tmp_path, monkeypatch):
    settings = {"accum_grad_iters": 4, "grad_cache": True, "dropout": True}
    settings |= {"lr_sched": "linear_warmup_multistep_iter"}
    train(tmp_path / "whole", monkeypatch, ["itc", "itm"], **settings)
    train(tmp_path / "parts", monkeypatch, ["itc", "itm"], **settings, max_iters=3, iters_per_inner_epoch=3)
    train(tmp_path / "parts", monkeypatch, ["itc", "itm"], **settings, iters_per_inner_epoch=3, resume_ckpt_path="auto")
    whole, parts = (read_checkpoint(tmp_path / name / "job" / "checkpoint_last.pth") for name in ("whole", "parts"))
    assert whole["iters"] == parts["iters"] == UPDATES
    assert all(torch.equal(whole["model"][name], parts["model"][name]) for name in whole["model"])
    assert torch.equal(whole["rng"][0]["torch"], parts["rng"][0]["torch"])


def test_it_trains_in_mixed_precision_with_a_scaled_loss(tmp_path, monkeypatch):
    scaler = cached_property(lambda self: torch.amp.GradScaler("cpu", init_scale=1024.0))
    scaler.__set_name__(FashionRunner, "scaler")
    monkeypatch.setattr(FashionRunner, "scaler", scaler)
    _, one = train(tmp_path / "one", monkeypatch, ["itc"], batch_size_train=8)
    settings = {"accum_grad_iters": 4, "grad_cache": True}
    _, many = train(tmp_path / "many", monkeypatch, ["itc"], **settings)
    assert many.scaler.get_scale() == 1024 and difference(one, many) < 1e-5
    _, half = train(tmp_path / "half", monkeypatch, ["itc"], amp="bf16", **settings)
    assert 1e-4 < difference(one, half) < 0.05
