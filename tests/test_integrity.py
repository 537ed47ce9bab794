import random

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.serialization import config as torch_config

from fashionfae_lavis.checkpoints import read_checkpoint, save_atomically, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.integrity import digest
from fashionfae_lavis.models.configuration import shipped

STATE = {
    "weight": torch.arange(600.0).view(20, 30),
    "half": torch.ones(50, dtype=torch.bfloat16),
    "step": torch.tensor(3),
    "empty": torch.zeros(0, 4),
}
CONFIG = {"model": {"arch": "fashionfae", "sizes": [1, 2]}}


def save(path):
    if path.suffix == ".pth":
        save_atomically({"model": STATE, "config": CONFIG}, path)
    else:
        save_safetensors(STATE, CONFIG, path)


def is_whole(content):
    found = content["model"]
    same = found.keys() == STATE.keys() and content["config"] == CONFIG
    return same and all(found[k].dtype == v.dtype and torch.equal(found[k], v) for k, v in STATE.items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path, suffix):
    """A flip in padding or in the name of the digest changes nothing that is read."""
    path = tmp_path / f"a{suffix}"
    save(path)
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    assert is_whole(read_checkpoint(path))
    for _ in range(400):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            assert is_whole(read_checkpoint(path))
        except UserError as error:
            assert str(path) in str(error) and "copy the file again" in str(error)
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_every_flipped_bit_in_a_tensor_is_an_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save(path)
    whole, rng = path.read_bytes(), random.Random(1)
    data = STATE["weight"].numpy().tobytes()
    start = whole.index(data)
    for _ in range(100):
        content = bytearray(whole)
        content[start + rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"^{path} is damaged .*: copy the file again, or use another one.$"):
            read_checkpoint(path)


def test_files_without_checksums_load(tmp_path):
    save_file(STATE, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    torch_config.save.compute_crc32 = False
    try:
        torch.save({"model": STATE}, tmp_path / "foreign.pth")
    finally:
        torch_config.save.compute_crc32 = True
    torch.save({"model": STATE}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("foreign.safetensors", "foreign.pth", "old.pth"):
        assert torch.equal(read_checkpoint(tmp_path / name)["model"]["weight"], STATE["weight"])


def test_a_digest_covers_names_types_shapes_bytes_and_metadata():
    changed = [
        ({**STATE, "other": STATE["weight"]}, {}),
        ({"renamed" if name == "weight" else name: tensor for name, tensor in STATE.items()}, {}),
        ({**STATE, "weight": STATE["weight"].view(30, 20)}, {}),
        ({**STATE, "weight": STATE["weight"].view(torch.int32)}, {}),
        ({**STATE, "step": torch.tensor(2)}, {}),
        (STATE, {"config": "{}"}),
    ]
    digests = {digest(STATE, {}), *(digest(tensors, metadata) for tensors, metadata in changed)}
    assert len(digests) == 1 + len(changed)
    assert digest(dict(reversed(STATE.items())), {"sha256": "x"}) == digest(STATE, {})


@pytest.mark.parametrize(
    "name", ["mini", "mini_encoders", "mini_photograph_encoders", "mini_unlabelled_encoders", "mini_tokenizer"]
)
def test_shipped_weights_carry_their_digest(name):
    path = shipped("weights", f"{name}.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert digest(read_checkpoint(path)["model"], metadata) == metadata["sha256"]
