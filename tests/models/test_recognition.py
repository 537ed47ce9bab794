import pytest
import torch
from authors import tiny_of
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRecognition


def samples():
    return {**tiny_samples(), "label": torch.tensor([0, 3, 1, 3])}


def test_logits_come_from_the_pooled_first_state_of_the_joint_sequence():
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


def test_without_text_only_the_image_counts():
    model, batch = tiny_of(FashionRecognition, num_classes=5, use_text=False).eval(), samples()
    seen = []
    model.fusion_encoder.embeddings.word_embeddings.register_forward_hook(lambda _, ids, __: seen.append(ids[0]))
    logits = model.predict({"image": batch["image"]})["predictions"]
    tokenizer = model.tokenizer
    assert seen[0].tolist() == [[tokenizer.cls_token_id, tokenizer.sep_token_id]] * 4
    assert torch.equal(model.predict(batch)["predictions"], logits)
    assert not torch.allclose(logits[0], logits[1], atol=1e-4)
    # the same weights and head read the text if `use_text` is set
    reads = tiny_of(FashionRecognition, num_classes=5).eval()
    assert not torch.allclose(reads.predict(batch)["predictions"], logits, atol=1e-4)
    assert torch.allclose(reads.predict({**batch, "text_input": [""] * 4})["predictions"], logits)


NAMES = ["COATS", "DRESSES", "JEANS", "SHIRTS", "SKIRTS"]


def saved(tmp_path, **config):
    model, path = tiny_of(FashionRecognition, num_classes=5), str(tmp_path / "recognition.safetensors")
    save_safetensors(model.state_dict(), {"model": {"arch": "fashionfae_recognition", **config}}, path)
    return path


def test_a_checkpoint_of_the_same_classes_is_loaded_whole(tmp_path):
    path = saved(tmp_path, classes=NAMES)
    for key in ("pretrained", "finetuned"):
        changes = {"load_pretrained": True, "load_finetuned": key == "finetuned", key: path}
        model = tiny_of(FashionRecognition, num_classes=5, classes=NAMES, **changes)
        assert torch.equal(model.classifier[1].weight, tiny_of(FashionRecognition, num_classes=5).classifier[1].weight)
        assert model.classes == NAMES


@pytest.mark.parametrize("key", ["pretrained", "finetuned"])
def test_a_checkpoint_of_other_classes_is_refused(tmp_path, key):
    path = saved(tmp_path, classes=NAMES)
    changes = {"load_pretrained": True, "load_finetuned": key == "finetuned", key: path}
    others = ["COATS", "GLOVES", "HATS", "SHIRTS", "SKIRTS"]  # as many, so that the weights would fit
    with pytest.raises(UserError) as caught:
        tiny_of(FashionRecognition, num_classes=5, classes=others, **changes)
    assert str(caught.value) == (
        f"`model.{key}` distinguishes 5 classes, the dataset has 5, and 4 are not in both "
        "(DRESSES, GLOVES, HATS, ...): use the checkpoint's dataset and `label`, or start from a pre-trained "
        "checkpoint."
    )
    with pytest.raises(UserError, match="distinguishes 5 classes, the dataset has 4, and 1 are not in both .SKIRTS.:"):
        tiny_of(FashionRecognition, num_classes=4, classes=NAMES[:4], **changes)


def test_a_checkpoint_without_names_is_taken_at_its_word(tmp_path, caplog):
    tiny_of(FashionRecognition, num_classes=5, classes=NAMES, load_pretrained=True, pretrained=saved(tmp_path))
    assert "does not name its classes" in caplog.text


def test_a_checkpoint_that_reads_other_input_is_refused(tmp_path):
    path = saved(tmp_path, classes=NAMES, use_text=False)
    with pytest.raises(UserError, match="`model.pretrained` was trained with model.use_text=False: set model.use_text"):
        tiny_of(FashionRecognition, num_classes=5, classes=NAMES, load_pretrained=True, pretrained=path)
    assert tiny_of(FashionRecognition, num_classes=5, use_text=False, load_pretrained=True, pretrained=path)
