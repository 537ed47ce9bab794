import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from omegaconf import OmegaConf
from two_processes import run_in_two_processes

from fashionfae_lavis.distributed import (
    gather_in_order,
    gather_objects,
    init_distributed,
    max_anywhere,
    own_share,
    true_anywhere,
)
from fashionfae_lavis.errors import UserError

CPU = torch.device("cpu")


def test_one_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = OmegaConf.create({"distributed": True})
    OmegaConf.set_struct(run, True)
    init_distributed(run)
    assert run == {"distributed": False, "device": "cpu", "amp": False, "gpu": 0, "rank": 0, "world_size": 1}
    assert gather_objects("a") == ["a"] and true_anywhere(True, CPU) and not true_anywhere(False, CPU)
    assert max_anywhere([1, 2.5], CPU) == [1, 2.5]
    assert own_share("abc") == "abc"
    assert gather_in_order([np.array([[1], [2]]), np.array([[3]])]).tolist() == [[1], [2], [3]]


@pytest.mark.parametrize(("has_bf16", "amp"), [(True, "bf16"), (False, False)])
def test_a_gpu_trains_in_bf16_if_it_has_it_and_the_user_has_not_chosen(monkeypatch, has_bf16, amp):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    for given, expected in (("auto", amp), (False, False), ("fp16", "fp16")):
        run = OmegaConf.create({"device": "auto", "amp": given})
        init_distributed(run)
        assert run.amp == expected and run.device == "cuda:0"


SHARES = """
import numpy as np
import torch
import torch.distributed as dist
from runner_toy import ToyDataset
from fashionfae_lavis.datasets.loaders import evaluation_loader, share_of_loader
from fashionfae_lavis.distributed import gather_in_order, max_anywhere, own_share
dist.init_process_group("gloo")
for length in (1, 2, 7, 8):
    loader = evaluation_loader(ToyDataset(length), batch_size=3, workers=0, pin=False)
    shared = share_of_loader(loader)
    assert len(shared.dataset) == (length + 1 - dist.get_rank()) // 2 and shared.batch_size == 3
    rows = gather_in_order([batch["index"].numpy()[:, None] for batch in shared])
    assert rows.dtype == np.int64 and rows[:, 0].tolist() == list(range(length)), rows
    assert gather_in_order([own_share(np.arange(length))]).tolist() == list(range(length))
rank = dist.get_rank()
assert max_anywhere([rank, 15 - rank, 0], torch.device("cpu")) == [1, 15, 0]
dist.destroy_process_group()
"""


def test_two_processes_divide_and_gather_in_order(tmp_path):
    """Also for odd lengths, and for one item, so that the second process has none."""
    run_in_two_processes(SHARES, tmp_path)


def test_a_group_is_joined_once(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = str(probe.getsockname()[1])
    group = {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": port,
    }
    for name, value in group.items():
        monkeypatch.setenv(name, value)
    run = OmegaConf.create({"device": "cpu"})
    try:
        init_distributed(run)
        init_distributed(run)
        assert run.distributed and run.world_size == 1 and dist.get_backend() == "gloo"
        assert gather_objects(3) == [3] and true_anywhere(True, CPU) and not true_anywhere(False, CPU)
    finally:
        dist.destroy_process_group()


def test_devices_that_do_not_exist(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"run.device: cuda needs 1 GPU\(s\), but this machine has 0"):
        init_distributed(OmegaConf.create({"device": "cuda"}))
    with pytest.raises(UserError, match="run.device is 'tpu', but must be auto, cpu or cuda"):
        init_distributed(OmegaConf.create({"device": "tpu"}))
