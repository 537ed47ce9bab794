"""Both towers, traced and exported, give the model's embeddings at sizes other than the traced ones."""

import pytest
import torch
from authors import tiny_of
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import read_checkpoint, save_atomically
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE, FashionRecognition, onnx_towers
from fashionfae_lavis.models.export import ImageTower, TextTower, export_onnx, export_program, export_weights


def test_weights_and_architecture_are_kept_and_the_training_state_is_not(tmp_path):
    model, config = tiny_model().eval(), OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    config["image_tokenizer"]["weights"] = "/home/me/tokenizer.pth"
    checkpoint, path = str(tmp_path / "checkpoint_last.pth"), str(tmp_path / "weights.safetensors")
    save_atomically({"model": model.state_dict(), "config": {"model": config, "run": {}}, "iters": 7}, checkpoint)
    export_weights(checkpoint, path)
    content = read_checkpoint(path)
    assert content.keys() == {"model", "config"} and content["config"].keys() == {"model", "vocabulary"}
    assert "weights" not in content["config"]["model"]["image_tokenizer"]
    again = FashionFAE.from_pretrained(path).eval()
    assert torch.equal(again(tiny_samples())["loss"], model(tiny_samples())["loss"])


@pytest.fixture(scope="module")
def model():
    return tiny_model().eval()


def batches(model):
    """Batches of one to five products, with texts of different lengths."""
    for size, words in ((1, 1), (3, 9), (5, 40)):
        samples = tiny_samples(size, first=size)
        images = torch.nn.functional.interpolate(samples["image"], model.image_size)
        yield images, model.tokenize([" ".join(text.split()[:words]) for text in samples["text_input"]])


def expected(model, images, text):
    tower = torch.no_grad()(lambda tower, *inputs: tower(*inputs))
    return tower(ImageTower(model), images), tower(TextTower(model), text.input_ids, text.mask)


def test_towers_are_the_models_features(model):
    samples = tiny_samples(3)
    images, texts = expected(model, samples["image"], model.tokenize(samples["text_input"]))
    assert torch.equal(images, model.extract_features(samples, mode="image").image_embeds_proj[:, 0])
    torch.testing.assert_close(texts, model.extract_features(samples, mode="text").text_embeds_proj[:, 0])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_traced_towers_read_any_batch_and_length(model):
    with torch.no_grad():
        image, text = (torch.jit.trace(tower(model), tower(model).example()) for tower in (ImageTower, TextTower))
        for images, pieces in batches(model):
            wanted = expected(model, images, pieces)
            found = image(images), text(pieces.input_ids, pieces.mask)
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("grad_ckpt", [False, True])
def test_exported_towers_read_any_batch_and_length(grad_ckpt):
    model = tiny_model(grad_ckpt=grad_ckpt).train()
    image, text = (export_program(tower(model)).module() for tower in (ImageTower, TextTower))
    assert model.training
    model.eval()
    for images, pieces in batches(model):
        wanted = expected(model, images, pieces)
        found = image(images), text(pieces.input_ids, pieces.mask)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_what_cannot_be_exported_is_one_sentence(model, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="FashionRecognition has no image and text tower"):
        export_onnx(tiny_of(FashionRecognition), tmp_path)
    monkeypatch.setattr(onnx_towers, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"needs onnx and onnxscript and onnxruntime: pip install 'fashionfae-lavis\[onnx\]'"
    ):
        export_onnx(model, tmp_path)
    assert not list(tmp_path.iterdir())
