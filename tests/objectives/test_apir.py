import sys

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.objectives.apir import AttributePromotion, apir_loss, reconstruct
from fashionfae_lavis.objectives.itc import contrastive_loss


def test_promotion_is_its_formula():
    torch.manual_seed(0)
    promotion = AttributePromotion(6)
    t, v = torch.randn(2, 3, 6).unbind(0)
    hidden = torch.cat((t, v), 1) @ promotion.fc1.weight.T + promotion.fc1.bias
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    total = gelu @ promotion.fc2.weight.T + promotion.fc2.bias + t + v
    expected = (total - total.mean(1, keepdim=True)) / (total.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(promotion(t, v), expected)
    assert promotion.fc1.weight.shape == (24, 12)


def case(model):
    samples = tiny_samples(3)
    tokens = model.image_encoder.pool_tokens(model.image_encoder(samples["image"]))
    patch_mask = torch.zeros(3, 16, dtype=torch.bool)
    patch_mask[0, :4] = patch_mask[1, 5:9] = patch_mask[2, 12:] = True
    return samples["image"], tokens, model.tokenize(samples["text_input"]), patch_mask


def test_loss_is_cross_entropy_of_masked_codes_plus_consistency():
    model = tiny_model().eval()
    images, tokens, text, patch_mask = case(model)
    codes = model.image_tokenizer.encode(images)
    output = apir_loss(model, tokens, text, codes, patch_mask)
    states, _ = reconstruct(model, tokens, text, patch_mask)
    assert states.shape == (3, 16, 32)
    labels = torch.where(patch_mask, codes, -100)
    cross_entropy = F.cross_entropy(model.apir_head(states).flatten(0, 1), labels.flatten(), ignore_index=-100)
    clean = model.fusion_encoder.visual_embeddings.projection(tokens).mean(1)
    consistency = contrastive_loss(model.scaled(clean), model.scaled(states.mean(1)))
    torch.testing.assert_close(output["loss"], cross_entropy + consistency)
    torch.testing.assert_close(output["loss_apir"], cross_entropy)


def test_masked_tokens_are_not_seen_but_cls_and_text_are_through_the_promoted_token():
    model = tiny_model().eval()
    _, tokens, text, patch_mask = case(model)
    states, promoted = reconstruct(model, tokens, text, patch_mask)
    hidden = tokens.clone()
    hidden[:, 1:][patch_mask] = 7.0
    torch.testing.assert_close(reconstruct(model, hidden, text, patch_mask)[0], states)
    other_cls = tokens.clone()
    other_cls[:, 0] += 1.0
    assert not torch.allclose(reconstruct(model, other_cls, text, patch_mask)[1], promoted)
    other_text = text.rows(torch.tensor([1, 2, 0]))
    assert not torch.allclose(reconstruct(model, tokens, other_text, patch_mask)[1], promoted)


def test_codes_are_computed_without_gradient_and_any_batch_size_works():
    model = tiny_model().train()
    for size in (1, 3, 5):
        output = model({**tiny_samples(size), "objectives": ["apir"]})
        assert output["loss"].isfinite()
    output["loss"].backward()
    assert all(p.grad is None for p in model.image_tokenizer.parameters())


def test_as_many_patches_are_hidden_as_the_configuration_says(monkeypatch):
    hidden = []

    def loss(model, image_tokens, text, codes, patch_mask):
        hidden.append(patch_mask.sum(1).tolist())
        return apir_loss(model, image_tokens, text, codes, patch_mask)

    monkeypatch.setattr(sys.modules[apir_loss.__module__], "apir_loss", loss)
    for model in (tiny_model(), tiny_model(apir__masked_patches=5)):
        model({**tiny_samples(3), "objectives": ["apir"]})
    assert hidden == [[8] * 3, [5] * 3]
    for patches in (0, 17):
        with pytest.raises(UserError, match=rf"masked_patches` is {patches}, but must be from 1 to 16"):
            tiny_model(apir__masked_patches=patches)


def test_the_promoted_token_starts_at_its_scale():
    model = tiny_model(apir__token_scale=0.1).eval()
    _, promoted = reconstruct(model, *case(model)[1:])
    torch.testing.assert_close(promoted.std(1, unbiased=False), torch.full((3,), 0.1), rtol=1e-3, atol=0)
