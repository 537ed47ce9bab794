import torch

from fashionfae_lavis.models.attribute_promotion import AttributePromotion


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
