"""A toy model, task and dataset, and a program that trains them: `runner_toy.py <output_dir> [key=value ...]`.

Keys are settings of the run section. In addition, `die_at` kills the program at that update, `signal_at` sends SIGTERM
to the second process there, `dropout` is the model's, and each process writes its final weights to the file
`<save_to><rank>`.
"""

import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from lavis.models.base_model import BaseModel
from lavis.tasks.base_task import BaseTask
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import Dataset, default_collate

from fashionfae_lavis.distributed import init_distributed
from fashionfae_lavis.interruption import Interrupted, interruptible
from fashionfae_lavis.runners import FashionRunner

SAMPLES = 24


class ToyDataset(Dataset):
    """Noisy points of the line y = 2x; the noise imitates a random processor that uses all generators."""

    def __init__(self, length=SAMPLES, noise=0.1):
        self.length, self.noise = length, noise

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        noise = self.noise and self.noise * (random.random() + np.random.rand() + torch.rand(()).item())
        x = torch.tensor([index / self.length, 1.0, noise])
        return {"x": x, "y": x[:1] * 2, "index": index, "text_input": f"item {index}"}

    def collater(self, samples):
        return default_collate(samples)


class ToyModel(BaseModel):
    """Uses one of two parts in each step, as the objectives do; `frozen` imitates an image tokenizer."""

    def __init__(self, dropout=0.2):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.even, self.odd, self.frozen = nn.Linear(3, 1), nn.Linear(3, 1), nn.Linear(3, 3)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.frozen.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, samples):
        odd = samples["iters"] % 2
        guess = (self.odd if odd else self.even)(self.dropout(samples["x"]))
        loss = (guess - samples["y"]).square().mean()
        return {"loss": loss, "loss_odd" if odd else "loss_even": loss}


class ToyTask(BaseTask):
    """Returns all losses, validates by the mean error and records the samples it trained on."""

    def __init__(self, die_at=None, nan_at=None):
        super().__init__()
        self.die_at, self.nan_at, self.seen = die_at, nan_at, []

    def train_step(self, model, samples):
        if samples["iters"] == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(samples["index"].tolist())
        output = model(samples)
        if samples["iters"] == self.nan_at:
            output = {name: value * torch.nan for name, value in output.items()}
        return output

    def valid_step(self, model, samples):
        return (model.even(samples["x"]) - samples["y"]).square().flatten().tolist()

    def evaluation(self, model, data_loader, cuda_enabled=True):
        return [error for samples in data_loader for error in self.valid_step(model, samples)]

    def after_evaluation(self, val_result, split_name, epoch, **kwargs):
        return {"error": np.mean(val_result), "agg_metrics": -np.mean(val_result)}


class SignalledTask(ToyTask):
    """Receives a signal in the update after `at` others, or in its evaluation of number `evaluation`, from 1."""

    def __init__(self, number, at=None, evaluation=None):
        super().__init__()
        self.number, self.at, self.evaluations_left = number, at, evaluation

    def train_step(self, model, samples):
        if samples["iters"] == self.at:
            os.kill(os.getpid(), self.number)
        return super().train_step(model, samples)

    def valid_step(self, model, samples):
        if self.evaluations_left == 0:
            os.kill(os.getpid(), self.number)
        return super().valid_step(model, samples)

    def before_evaluation(self, model, dataset, **kwargs):
        if self.evaluations_left is not None:
            self.evaluations_left -= 1


class ToyConfig:
    """Imitates LAVIS's Config: `config` is all of it, `run_cfg` its run section."""

    def __init__(self, output_dir, **run):
        defaults = {
            "output_dir": str(output_dir),
            "device": "cpu",
            "batch_size_train": 4,
            "batch_size_eval": 5,
            "num_workers": 0,
            "init_lr": 0.01,
            "weight_decay": 0.05,
            "lr_sched": "linear_warmup_cosine_iter",
            "warmup_steps": 3,
            "max_iters": 12,
            "iters_per_inner_epoch": 4,
            "log_freq": 2,
            "valid_splits": ["val"],
            "test_splits": ["val"],
        }
        self.config = OmegaConf.create({"run": {**defaults, **run}, "model": {"arch": "toy"}})

    @property
    def run_cfg(self):
        return self.config.run


def make_runner(output_dir, task=None, model=None, datasets=None, job_id="job", **run):
    """Builds a runner of the toys; `run` overrides the defaults above."""
    datasets = datasets or {"toy": {"train": ToyDataset(), "val": ToyDataset(10, noise=0)}}
    model = model or ToyModel()
    runner = FashionRunner(ToyConfig(output_dir, **run), task or ToyTask(), model, datasets, job_id)
    torch.manual_seed(7)  # for dropout
    return runner


def main():
    torch.set_num_threads(1)
    settings = OmegaConf.to_container(OmegaConf.from_dotlist(sys.argv[2:]))
    die_at, signal_at, save_to = (settings.pop(key, None) for key in ("die_at", "signal_at", "save_to"))
    init_distributed(OmegaConf.create({"device": "cpu"}))
    model = ToyModel(settings.pop("dropout", 0.2))
    rank = os.environ.get("RANK", "0")
    task = ToyTask(die_at=die_at)
    if signal_at is not None and rank == "1":
        task = SignalledTask(signal.SIGTERM, at=signal_at)
    runner = make_runner(sys.argv[1], task, model, **settings)
    try:
        with interruptible():
            runner.train()
    except Interrupted as stop:
        sys.exit(stop.status)
    if save_to:
        inner = getattr(runner.optimizer, "optim", runner.optimizer)  # of a sharded optimizer
        saved = {"model": runner.bare_model.state_dict(), "seen": runner.task.seen, "moments": len(inner.state)}
        torch.save(saved, Path(f"{save_to}{rank}"))


if __name__ == "__main__":
    main()
