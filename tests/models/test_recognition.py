import pytest
import torch
from authors import tiny_of
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRecognition
from fashionfae_lavis.models.checkpoints import save_safetensors


def samples():
    return {**tiny_samples(), "label": torch.tensor([0, 3, 1, 3])}


def test_logits_come_from_the_pooled_first_place_of_the_joint_sequence():
    model, batch = tiny_of(FashionRecognition, num_classes=5).eval(), samples()
    joint = tiny_model().eval().extract_features(batch).multimodal_embeds  # the same encoders
    pooled = torch.tanh(model.fusion_encoder.pooler.dense(joint[:, 0]))
    dense, norm = model.classifier[0].dense, model.classifier[0].LayerNorm
    expected = model.classifier[1](norm(torch.nn.functional.gelu(dense(pooled))))
    output = model.predict(batch)
    assert output["predictions"].shape == (4, 5)
    torch.testing.assert_close(output["predictions"], expected, atol=1e-5, rtol=0)
    assert torch.equal(output["targets"], batch["label"])
    assert model.predict(tiny_samples())["targets"] is None


def test_loss_and_accuracy_equal_a_loop():
    model, batch = tiny_of(FashionRecognition, num_classes=5).eval(), samples()
    logits = model.predict(batch)["predictions"]
    expected = -sum(row.log_softmax(0)[label] for row, label in zip(logits, batch["label"], strict=True)) / 4
    output = model(batch)
    assert output["loss"].item() == pytest.approx(expected.item(), abs=1e-5)
    assert output["acc"].item() == (logits.argmax(1) == batch["label"]).float().mean().item()


def test_it_learns_and_trains_both_encoders():
    model, batch = tiny_of(FashionRecognition, num_classes=5).train(), samples()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        loss = model(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in model.image_encoder.parameters())
    assert losses[-1] < 0.5 * losses[0]


def test_it_starts_from_pre_training_but_from_no_other_size(tmp_path):
    pretrained, path = tiny_model(), str(tmp_path / "a.safetensors")
    save_safetensors(pretrained.state_dict(), {"model": {"arch": "fashionfae"}}, path)
    model = tiny_of(FashionRecognition, load_pretrained=True, pretrained=path)
    assert torch.equal(model.image_encoder.norm.bias, pretrained.image_encoder.norm.bias)
    assert model.classifier[1].out_features == 48
    save_safetensors(tiny_model(image_encoder__depth=1).state_dict(), {"model": {"arch": "fashionfae"}}, path)
    with pytest.raises(UserError, match="is of another architecture"):
        tiny_of(FashionRecognition, load_pretrained=True, pretrained=path)
