from functools import partial

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.image_encoder import ImageEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ImageEncoder(image_size=32, patch_size=4, width=32, depth=2, heads=2, pool=2).eval()


def test_tokens_equal_timm_with_the_same_weights(encoder):
    norm = partial(torch.nn.LayerNorm, eps=1e-12)
    timm_vit = VisionTransformer(
        img_size=32, patch_size=4, embed_dim=32, depth=2, num_heads=2, num_classes=0, norm_layer=norm
    ).eval()
    timm_vit.load_state_dict(encoder.state_dict())
    images = torch.randn(3, 3, 32, 32)
    tokens = encoder(images)
    assert tokens.shape == (3, 65, 32)
    torch.testing.assert_close(tokens[:, 0], timm_vit(images), atol=1e-5, rtol=0)


def test_pooling_averages_squares_of_patches_and_keeps_cls(encoder):
    tokens = torch.randn(2, 65, 32)
    pooled = encoder.pool_tokens(tokens)
    assert pooled.shape == (2, 17, 32)
    torch.testing.assert_close(pooled[:, 0], tokens[:, 0])
    # Fusion token (1, 2) of the 4 x 4 grid covers rows 2-3 and columns 4-5 of the 8 x 8 grid.
    patches = [1 + row * 8 + column for row in (2, 3) for column in (4, 5)]
    torch.testing.assert_close(pooled[:, 1 + 1 * 4 + 2], tokens[:, patches].mean(1))


def test_activation_checkpointing_changes_neither_names_nor_gradients(encoder):
    saving = ImageEncoder(image_size=32, patch_size=4, width=32, depth=2, heads=2, grad_ckpt=True)
    saving.load_state_dict(encoder.state_dict())
    images = torch.randn(2, 3, 32, 32)
    for model in (encoder.train(), saving.train()):
        model(images).square().mean().backward()
    for (name, a), (_, b) in zip(encoder.named_parameters(), saving.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_an_image_that_is_no_multiple_of_pooled_patches_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        ImageEncoder(image_size=36, patch_size=4, width=32, depth=1, heads=2, pool=2)


def test_a_convolutional_stem_gives_the_same_grid_of_tokens():
    sizes = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "heads": 2, "pool": 1}
    torch.manual_seed(0)
    encoder = ImageEncoder(stem=[8, 16, 24], **sizes).eval()
    images = torch.randn(2, 3, 32, 32)
    assert encoder(images).shape == ImageEncoder(**sizes)(images).shape == (2, 17, 32)
    # Tokens are at their patches' positions; only the norms carry a little of a change to others.
    changed = images.clone()
    changed[:, :, :8, :8] += 1
    difference = (encoder.patch_embed(changed) - encoder.patch_embed(images)).abs().amax((0, 2)).view(4, 4)
    assert difference.argmax() in (0, 1, 4, 5)
    spread = encoder.patch_embed.proj[0].weight.std().item()
    assert abs(spread - (2 / 27) ** 0.5) < 0.05  # He's, not timm's 0.02


def test_a_stem_that_does_not_make_the_patch_is_refused():
    with pytest.raises(UserError, match="stem has 2 convolutions, which make patches of 4 pixels, but patch_size is 8"):
        ImageEncoder(image_size=32, patch_size=8, width=32, depth=1, heads=2, pool=1, stem=[8, 8])
