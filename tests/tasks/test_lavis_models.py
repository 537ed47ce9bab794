"""LAVIS's own classes learn the same through our tasks and runner as through LAVIS's own loop."""

import copy
from types import SimpleNamespace

import pytest
import torch
from baselines import blip_tokenizer, lavis_model, tiny_baseline
from lavis.models.albef_models import AlbefBase
from lavis.models.blip_models.blip import BlipBase
from lavis.models.clip_models.model import CLIP
from lavis.tasks.base_task import BaseTask
from runner_toy import make_runner
from tiny import tiny_samples
from torch import distributed as dist
from torch.utils.data import Dataset, default_collate

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.optimizers import build_optimizer
from fashionfae_lavis.tasks.captioning import FashionCaptioningTask
from fashionfae_lavis.tasks.retrieval import FashionPretrainTask, FashionRetrievalTask

TASKS = {
    "blip_pretrain": FashionPretrainTask({}),
    "albef_pretrain": FashionPretrainTask({}),
    "clip": FashionPretrainTask({}),
    "blip_retrieval": FashionRetrievalTask({}),
    "albef_retrieval": FashionRetrievalTask({}),
    "blip_caption": FashionCaptioningTask({}),
}
UPDATES, BATCH = 3, 4


class Products(Dataset):
    """As many products as the updates see, each with two images and one text; rows differ from product indices."""

    samples = tiny_samples(UPDATES * BATCH)

    def __len__(self):
        return UPDATES * BATCH

    def __getitem__(self, index):
        return {
            "image": self.samples["image"][index],
            "text_input": self.samples["text_input"][index].split(" [SEP] ")[0],
            "image_id": torch.tensor(index // 2),
            "product_id": torch.tensor(index // 2),
        }

    def collater(self, samples):
        return default_collate(samples)


class LavisLoop(BaseTask):
    """Runs LAVIS's training step under a seed and records its loss."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def train_step(self, model, samples):
        torch.manual_seed(samples["iters"])
        loss = super().train_step(model, samples)
        self.losses.append(loss.item())
        return loss


class Rates:
    """Sets the learning rates that our schedule had."""

    def __init__(self, optimizer, rates):
        self.optimizer, self.rates = optimizer, rates

    def step(self, cur_epoch, cur_step):
        for group, rate in zip(self.optimizer.param_groups, self.rates[cur_step], strict=True):
            group["lr"] = rate


@pytest.fixture(autouse=True)
def vocabulary(monkeypatch):
    for base in (BlipBase, AlbefBase):
        monkeypatch.setattr(base, "init_tokenizer", classmethod(lambda cls: blip_tokenizer()))


def through_our_runner(task, model, folder, monkeypatch):
    batches, losses, rates = [], [], []
    step = task.train_step

    def remember(model, samples):
        torch.manual_seed(samples["iters"])
        batches.append({key: samples[key] for key in ("image", "text_input", "image_id")})
        rates.append([group["lr"] for group in runner.optimizer.param_groups])
        output = step(model, dict(samples))
        losses.append((output["loss"] if isinstance(output, dict) else output).item())
        return output

    monkeypatch.setattr(task, "train_step", remember)
    settings = {"max_iters": UPDATES, "iters_per_inner_epoch": UPDATES, "batch_size_train": BATCH, "warmup_steps": 2}
    datasets = {"toy": {"train": Products()}}
    runner = make_runner(folder, task, model, datasets, valid_splits=[], test_splits=[], **settings)
    runner.train()
    return batches, losses, rates, runner.config.run_cfg


@pytest.mark.parametrize("arch", list(TASKS))
def test_losses_and_weights_are_those_of_lavis_s_own_loop(arch, tmp_path, monkeypatch):
    model = lavis_model(arch)
    again = copy.deepcopy(model)
    if arch == "clip":
        monkeypatch.setattr(BaseTask, "build_model", lambda self, cfg: model)
        TASKS[arch].build_model(
            SimpleNamespace(model_cfg=SimpleNamespace(arch="clip"))
        )  # as a run does: gives CLIP a loss that needs no process group
    batches, losses, rates, run = through_our_runner(TASKS[arch], model, tmp_path, monkeypatch)

    # Fake the process group for the loss of LAVIS's CLIP; a real group of one process would fail in LAVIS's meters.
    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    optimizer = build_optimizer(again, run)
    loop = LavisLoop()
    again.train()
    loop.train_epoch(0, again, batches, optimizer, Rates(optimizer, rates), cuda_enabled=False)
    assert len(losses) == UPDATES and losses == loop.losses
    assert losses[0] != losses[1]
    weights = model.state_dict()
    for name, tensor in again.state_dict().items():
        assert torch.equal(weights[name], tensor), name


def test_rows_of_a_product_are_no_negatives_of_each_other():
    seen = {}

    def model(samples):
        seen.update(samples)
        return {"loss": torch.zeros(()), "loss_itc": torch.zeros(()), "sims": "not a loss"}

    samples = {"image_id": torch.arange(3), "product_id": torch.tensor([7, 7, 8])}
    output = FashionRetrievalTask({}).train_step(model, samples)
    assert seen["image_id"].tolist() == [7, 7, 8] and output.keys() == {"loss", "loss_itc"}


@pytest.mark.parametrize(
    ("arch", "k_test", "message"),
    [
        ("fashion_clip", 8, "run.k_test: the model fashion_clip has no ITM head"),
        ("fashion_blip_caption", 0, "fashion_blip_caption has no embeddings of images and texts"),
        ("fashion_blip", 8, None),
        ("fashion_albef", 8, None),
    ],
)
def test_what_a_model_cannot_do_is_said_before_the_run(arch, k_test, message, monkeypatch):
    model = tiny_baseline(arch)
    monkeypatch.setattr(BaseTask, "build_model", lambda self, cfg: model)
    cfg = SimpleNamespace(model_cfg=SimpleNamespace(arch=arch))
    task = FashionPretrainTask({"k_test": k_test})
    if message is None:
        assert task.build_model(cfg) is model
    else:
        with pytest.raises(UserError, match=message):
            task.build_model(cfg)


def test_lavis_s_clip_without_ours_cannot_train_in_one_process():
    """This is why the task replaces CLIP's loss. If this test fails, LAVIS has fixed it."""
    model = lavis_model("clip")
    assert type(model) is CLIP
    with pytest.raises((ValueError, RuntimeError), match="process group"):
        model({"image": Products.samples["image"], "text_input": Products.samples["text_input"]})
