import pytest
import torch
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import save_atomically, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.evaluation_mode import without_dropout
from fashionfae_lavis.objectives import OBJECTIVES


def test_forward_gives_five_finite_losses_and_their_sum():
    output = tiny_model()(tiny_samples())
    for name in OBJECTIVES:
        assert output[f"loss_{name}"].isfinite() and 0 <= output[f"acc_{name}"] <= 1
    output["loss"].backward()


@pytest.mark.parametrize(
    ("objectives", "untouched"),
    [
        (("itc",), ("itm_head", "mlm_head", "apir_head", "promotion")),
        (("itm",), ("mlm_head", "apir_head", "promotion")),
        (("mlm", "aetp"), ("itm_head", "apir_head", "promotion")),
        (("apir",), ("itm_head", "mlm_head")),
    ],
)
def test_each_step_reaches_both_encoders_and_its_own_head_only(objectives, untouched):
    model = tiny_model().train()
    model({**tiny_samples(), "objectives": objectives})["loss"].backward()
    for part in ("image_encoder", "fusion_encoder"):
        assert any(p.grad is not None and p.grad.any() for p in getattr(model, part).parameters()), part
    for part in untouched:
        assert all(p.grad is None for p in getattr(model, part).parameters()), part
    assert all(p.grad is None for p in model.image_tokenizer.parameters())


def test_masks_follow_their_seed_alone():
    model = tiny_model().eval()
    torch.manual_seed(1)
    first = model(tiny_samples())["loss"]
    torch.manual_seed(2)
    assert model(tiny_samples())["loss"] == first
    assert model({**tiny_samples(), "mask_seed": (1,)})["loss"] != first


def test_embeddings_have_the_length_of_the_scale_and_features_length_one():
    model, samples = tiny_model().eval(), tiny_samples()
    image = model.image_embedding(model.image_encoder(samples["image"]))
    torch.testing.assert_close(image.norm(dim=1), torch.full((4,), 4.0))
    features = model.extract_features(samples, mode="image").image_embeds_proj[:, 0]
    torch.testing.assert_close(features * 4, image)
    text = model.extract_features(samples, mode="text")
    torch.testing.assert_close(text.text_embeds_proj.norm(dim=2), torch.ones(4, 1))
    length = text.text_embeds.shape[1]
    assert model.extract_features(samples).multimodal_embeds.shape == (4, length + 17, 32)
    with pytest.raises(UserError, match="mode must be"):
        model.extract_features(samples, mode="picture")


def test_global_image_embedding_is_the_mean_of_projected_tokens():
    model = tiny_model().eval()
    tokens = torch.randn(2, 65, 32)
    mean = model.fusion_encoder.visual_embeddings.projection(tokens).mean(1)
    torch.testing.assert_close(model.image_embedding(tokens), 4 * mean / mean.norm(dim=1, keepdim=True))


def test_the_image_tokenizer_stays_fixed():
    model = tiny_model().train()
    assert model.training and not model.image_tokenizer.training
    assert not any(p.requires_grad for p in model.image_tokenizer.parameters())
    with without_dropout(model):
        assert not model.training
    assert model.training


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_brings_its_own_architecture(tmp_path, suffix):
    model = tiny_model().eval()
    config = {"model": OmegaConf.to_container(OmegaConf.load(CONFIG).model)}
    path = tmp_path / f"checkpoint{suffix}"
    if suffix == ".pth":
        save_atomically({"model": model.state_dict(), "config": config}, path)
    else:
        save_safetensors(model.state_dict(), config, path)
    again = FashionFAE.from_pretrained(str(path)).eval()
    assert torch.equal(again(tiny_samples())["loss"], model(tiny_samples())["loss"])


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    save_atomically({"model": tiny_model(image_encoder__depth=1).state_dict()}, path)
    with pytest.raises(UserError, match="other.pth is of another architecture"):
        tiny_model().load_checkpoint(str(path))
    with pytest.raises(UserError, match="holds no model configuration"):
        FashionFAE.from_pretrained(str(path))


def test_an_unknown_type_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="did you mean mini.*mini, small, base, the path of a checkpoint"):
        FashionFAE.from_pretrained("minni")


def test_base_without_a_hub_is_one_sentence():
    with pytest.raises(UserError, match="bert-base-uncased.*hub cannot be reached.*needs no download"):
        FashionFAE.from_pretrained("base")


def test_encoders_of_different_width_are_refused():
    with pytest.raises(UserError, match="model.image_encoder.width"):
        tiny_model(image_encoder__width=16)
