import pytest
import torch
from authors import tiny_of
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRetrieval


def test_it_is_the_itc_step_of_pre_training(tmp_path):
    pretrained = tiny_model().eval()
    pretrained.scale.data.fill_(3.0)
    path = str(tmp_path / "a.safetensors")
    save_safetensors(pretrained.state_dict(), {"model": {"arch": "fashionfae"}}, path)
    model = tiny_of(FashionRetrieval, load_pretrained=True, pretrained=path).eval()
    assert model.scale.item() == 3.0
    for samples in (tiny_samples(), {**tiny_samples(), "image_2": tiny_samples(seed=1)["image"]}):
        expected = pretrained({**samples, "objectives": ["itc"]})
        output = model(samples)
        assert torch.equal(output["loss"], expected["loss_itc"]) and torch.equal(output["acc_itc"], expected["acc_itc"])
    features = model.extract_features(tiny_samples(), mode="text").text_embeds_proj
    assert torch.equal(features, pretrained.extract_features(tiny_samples(), mode="text").text_embeds_proj)


def test_a_step_trains_every_parameter_but_those_of_fusion():
    model = tiny_of(FashionRetrieval).train()
    model(tiny_samples())["loss"].backward()
    idle = {name.split(".")[1] for name, p in model.named_parameters() if p.grad is None}
    assert idle == {"pooler", "visual_embeddings"}  # of the latter the projection is trained
    assert model.fusion_encoder.visual_embeddings.projection.weight.grad.any() and model.scale.grad.any()


def test_pre_training_does_not_start_from_half_a_model(tmp_path):
    path = str(tmp_path / "a.safetensors")
    save_safetensors(tiny_of(FashionRetrieval).state_dict(), {"model": {"arch": "fashionfae_retrieval"}}, path)
    with pytest.raises(UserError, match="holds the model fashionfae_retrieval, not fashionfae: set `model.arch`"):
        tiny_model(load_pretrained=True, pretrained=path)
