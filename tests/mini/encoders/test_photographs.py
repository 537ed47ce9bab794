import numpy as np
import pytest
import torch
from PIL import Image

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.encoders import add_photographs, photographs
from fashionfae_lavis.models.configuration import shipped

CPU = torch.device("cpu")
PROCESSING = {"image_size": 112, "resize": 128, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@pytest.fixture
def folder(tmp_path):
    """Photographs of two classes, stripes across and stripes down, 200 x 180 pixels."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for name, axis in (("across", 0), ("down", 1)):
            path = tmp_path / "photographs" / split / name
            path.mkdir(parents=True)
            for number in range(count):
                stripes = (np.indices((180, 200))[axis] // 20 % 2 * 120)[..., None]
                pixels = stripes + random.integers(0, 100, 3) + random.integers(0, 20, (180, 200, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(path / f"{number}.JPG", "JPEG")
    return tmp_path / "photographs"


def test_the_encoder_learns_the_classes_and_the_text_encoder_stays(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "BATCH", 12)
    path = tmp_path / "encoders.safetensors"
    assert add_photographs(path, folder, updates=40) > 0.9
    before, after = (read_checkpoint(name)["model"] for name in (shipped("weights", "mini_encoders.safetensors"), path))
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) == (name.startswith("fusion_encoder.") or _is_constant(name)), name


def _is_constant(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def test_the_centre_crop_shows_what_the_evaluation_shows(folder):
    folders = photographs.ClassFolders(folder / "test", PROCESSING, CPU)
    assert folders.classes == ["across", "down"] and folders.labels.tolist() == [0] * 6 + [1] * 6
    assert folders.centre(torch.tensor([0, 7])).shape == (2, 3, 112, 112)
    images, labels = folders.batch()
    assert images.shape == (photographs.BATCH, 3, 112, 112) and set(labels.tolist()) == {0, 1}


def test_folders_without_classes_or_with_other_classes_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match="a folder of photographs for each of at least two classes"):
        photographs.ClassFolders(tmp_path / "missing", PROCESSING, CPU)
    (folder / "test" / "down").rename(folder / "test" / "up")
    with pytest.raises(UserError, match="train and test must have the same class folders"):
        add_photographs(tmp_path / "encoders.safetensors", folder, updates=1)
