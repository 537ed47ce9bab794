import pytest
import torch
import torch.nn.functional as F
from authors import tiny_of
from lavis.common.registry import registry
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.models import FashionComposition


def samples():
    return {**tiny_samples(), "target_image": tiny_samples(seed=1)["image"]}


def test_embeddings_equal_a_loop_over_tokens_and_words():
    model, batch = tiny_of(FashionComposition).eval(), samples()
    text = model.tokenize(batch["text_input"])
    states = model.fusion_encoder.encode_text(text)
    tokens = model.image_encoder.pool_tokens(model.image_encoder(batch["image"]))
    assert tokens.shape == (4, 17, 32)
    output = model.predict(batch)
    for i in range(4):
        projected = torch.stack([model.fusion_encoder.visual_embeddings.projection(token) for token in tokens[i]])
        words = torch.stack([state for state, real in zip(states[i], text.mask[i], strict=True) if real])
        expected = F.normalize(projected.mean(0) + words.mean(0), dim=0)
        torch.testing.assert_close(output["query"][i], expected, atol=1e-5, rtol=0)


def test_the_loss_is_cross_entropy_from_queries_to_targets_only():
    model, batch = tiny_of(FashionComposition).eval(), samples()
    output = model.predict(batch)
    logits = 16 * output["query"] @ output["target"].T
    expected = -sum(logits[i].log_softmax(0)[i] for i in range(4)) / 4
    loss = model(batch)
    assert loss["loss"].item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss["acc"].item() == (logits.argmax(1) == torch.arange(4)).float().mean().item()


def test_queries_and_gallery_can_be_embedded_apart():
    model, batch = tiny_of(FashionComposition).eval(), samples()
    both = model.predict(batch)
    query = model.predict({"image": batch["image"], "text_input": batch["text_input"]})
    gallery = model.predict({"target_image": batch["target_image"]})
    assert query.keys() == {"query"} and gallery.keys() == {"target"}
    assert torch.equal(query["query"], both["query"]) and torch.equal(gallery["target"], both["target"])


def test_it_starts_from_pre_training_with_a_scale_of_its_own(tmp_path):
    pretrained = tiny_model()
    pretrained.scale.data.fill_(3.0)
    path = str(tmp_path / "a.safetensors")
    save_safetensors(pretrained.state_dict(), {"model": {"arch": "fashionfae"}}, path)
    model = tiny_of(FashionComposition, load_pretrained=True, pretrained=path)
    assert model.scale.item() == 4.0
    assert torch.equal(model.fusion_encoder.pooler.dense.weight, pretrained.fusion_encoder.pooler.dense.weight)
    # Its own checkpoint is taken whole.
    model.scale.data.fill_(5.0)
    save_safetensors(model.state_dict(), {"model": {"arch": "fashionfae_composition"}}, path)
    assert tiny_of(FashionComposition, load_pretrained=True, pretrained=path).scale.item() == 5.0


def test_lavis_knows_it_in_all_sizes():
    model_class = registry.get_model_class("fashionfae_composition")
    assert model_class is FashionComposition
    assert set(model_class.PRETRAINED_MODEL_CONFIG_DICT) == {"mini", "small", "base"}
