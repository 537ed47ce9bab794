import pickle
import resource

import pytest
import torch
from torch import nn

from fashionfae_lavis.checkpoints import (
    load_weights,
    read_checkpoint,
    save_atomically,
    save_safetensors,
)
from fashionfae_lavis.errors import UserError


def test_what_is_saved_is_read_and_no_temporary_file_stays(tmp_path):
    path = tmp_path / "a.pth"
    content = {"model": {"w": torch.arange(3.0)}, "config": {"depth": [1, None, "x"]}, "rng": [(1, 2)]}
    save_atomically(content, path)
    read = read_checkpoint(path)
    assert torch.equal(read["model"].pop("w"), content["model"].pop("w")) and read == content
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pth"
    save_atomically({"model": {"w": torch.zeros(3)}}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=f"Cannot write {path} .*free some space"):
            save_atomically({"model": {"w": torch.ones(100_000)}}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_checkpoint(path)["model"]["w"].tolist() == [0, 0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


def test_the_file_before_is_kept(tmp_path):
    path, previous = tmp_path / "a.pth", tmp_path / "previous.pth"
    for number in range(3):
        save_atomically({"model": {"w": torch.tensor(number)}}, path, previous)
        assert previous.exists() == (number > 0)
    assert [read_checkpoint(file)["model"]["w"].item() for file in (path, previous)] == [2, 1]
    assert set(tmp_path.iterdir()) == {path, previous}


def test_a_folder_that_does_not_exist(tmp_path):
    for save in (save_atomically, lambda obj, path: save_safetensors(obj["model"], {}, path)):
        with pytest.raises(UserError, match="Cannot write .*missing/a.pth"):
            save({"model": {"w": torch.ones(2)}}, tmp_path / "missing" / "a.pth")


def test_safetensors_keeps_weights_and_configuration(tmp_path):
    state = {"weight": torch.randn(10, 5), "transposed": torch.randn(5, 10).T, "step": torch.tensor(3)}
    path = tmp_path / "a.safetensors"
    save_safetensors(state, {"name": "mini", "sizes": [1, 2]}, path)
    read = read_checkpoint(path)
    assert read["config"] == {"name": "mini", "sizes": [1, 2]}
    assert read["model"].keys() == state.keys()
    assert all(torch.equal(read["model"][name], tensor) for name, tensor in state.items())


def test_safetensors_keeps_tensors_that_share_memory(tmp_path):
    whole = torch.arange(6.0)
    state = {"a": whole, "tied": whole, "part": whole[2:4]}
    save_safetensors(state, {}, tmp_path / "weights.safetensors")
    again = read_checkpoint(tmp_path / "weights.safetensors")["model"]
    assert again.keys() == state.keys() and all(torch.equal(again[name], state[name]) for name in state)


def test_safetensors_can_be_read_by_whoever_may_read_new_files_here(tmp_path):
    (tmp_path / "new").touch()
    save_safetensors({"a": torch.zeros(1)}, {}, tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    state = {"w": torch.zeros(1000)}
    save_safetensors(state, {}, path) if suffix == ".safetensors" else save_atomically({"model": state}, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"just some text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"^{path} is damaged.*: copy the file again, or use another one.$"):
            read_checkpoint(path)


def test_a_tensor_that_fills_the_memory_is_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(UserError, match=f"Cannot write {path} "):
        save_safetensors({"w": torch.zeros(1).expand(10**14)}, {}, path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(UserError, match="There is no checkpoint file .*none.pth"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(UserError, match="There is no checkpoint file"):
        read_checkpoint(tmp_path)
    path = tmp_path / "a.pth"
    for content in ([1, 2], {"w": torch.ones(2)}):
        torch.save(content, path)
        with pytest.raises(UserError, match="holds no 'model' weights"):
            read_checkpoint(path)
    for state in (
        {"\ud800": torch.ones(2)},
        {3: torch.ones(2)},
        {"w": torch.quantize_per_tensor(torch.ones(2), 1, 0, torch.qint8)},
    ):
        torch.save({"model": state}, path)
        with pytest.raises(UserError, match="its 'model' holds other things than named tensors"):
            read_checkpoint(path)


class Danger:
    opened = False

    def __setstate__(self, state):
        Danger.opened = True


def test_files_that_need_pickle_are_not_opened(tmp_path):
    path = tmp_path / "a.pth"
    danger = Danger()
    danger.x = 1
    for as_zip in (True, False):  # torch's format since 1.6, and the one before
        torch.save({"model": {}, "config": danger}, path, _use_new_zipfile_serialization=as_zip)
        with pytest.raises(UserError, match="is not opened because it holds Python objects and could run code"):
            read_checkpoint(path)
    path.write_bytes(pickle.dumps(danger, protocol=2))
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        read_checkpoint(path)
    assert not Danger.opened


def test_weights_of_another_architecture_are_named():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = {name: torch.rand_like(tensor) for name, tensor in model.state_dict().items()}
    load_weights(model, state, "a.pth")
    assert torch.equal(model[0].bias, state["0.bias"])
    wrong = {"0.weight": torch.zeros(3, 4), "1.weight": state["1.weight"], "extra": torch.zeros(1)}
    with pytest.raises(UserError) as error:
        load_weights(model, wrong, "a.pth")
    assert str(error.value) == (
        "a.pth is of another architecture: 4 tensors do not fit "
        "(0.bias is missing, 1.bias is missing, extra is unknown, ...)."
    )
    with pytest.raises(UserError, match=r"1 tensors do not fit \(0.bias is \(4,\) instead of \(3,\)\)"):
        load_weights(model, {**state, "0.bias": torch.zeros(4)}, "a.pth")
