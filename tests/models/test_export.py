import torch
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import read_checkpoint, save_atomically
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.export import export_weights


def test_weights_and_architecture_are_kept_and_the_training_state_is_not(tmp_path):
    model, config = tiny_model().eval(), OmegaConf.to_container(OmegaConf.load(CONFIG).model)
    config["image_tokenizer"]["weights"] = "/home/me/tokenizer.pth"
    checkpoint, path = str(tmp_path / "checkpoint_last.pth"), str(tmp_path / "weights.safetensors")
    save_atomically({"model": model.state_dict(), "config": {"model": config, "run": {}}, "iters": 7}, checkpoint)
    export_weights(checkpoint, path)
    content = read_checkpoint(path)
    assert content.keys() == {"model", "config"} and content["config"].keys() == {"model"}
    assert "weights" not in content["config"]["model"]["image_tokenizer"]
    again = FashionFAE.from_pretrained(path).eval()
    assert torch.equal(again(tiny_samples())["loss"], model(tiny_samples())["loss"])
