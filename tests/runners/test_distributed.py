import socket

import pytest
import torch
import torch.distributed as dist
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.distributed import gather_objects, init_distributed, true_anywhere

CPU = torch.device("cpu")


def test_one_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = OmegaConf.create({"distributed": True})
    OmegaConf.set_struct(run, True)
    init_distributed(run)
    assert run == {"distributed": False, "device": "cpu", "gpu": 0, "rank": 0, "world_size": 1}
    assert gather_objects("a") == ["a"] and true_anywhere(True, CPU) and not true_anywhere(False, CPU)


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
    with pytest.raises(UserError, match=r"run.device: cuda needs 1 GPU\(s\), but 0 can be used"):
        init_distributed(OmegaConf.create({"device": "cuda"}))
    with pytest.raises(UserError, match="run.device is 'tpu', but must be auto, cpu or cuda"):
        init_distributed(OmegaConf.create({"device": "tpu"}))
