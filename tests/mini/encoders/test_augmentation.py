import torch

from fashionfae_lavis.mini.encoders.augmentation import ERASED, crop, erase, jitter


def test_crops_lie_inside_the_photograph_and_half_of_them_are_mirrored():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 160).expand(400, 3, 160, 160)  # brighter to the right
    crops = crop(ramp, 112)
    assert crops.shape == (400, 3, 112, 112)
    rise = crops[:, 0, 56, -1] - crops[:, 0, 56, 0]
    assert 160 < (rise < 0).sum() < 240
    assert rise.abs().min() > 0.3 and rise.abs().max() < 1.01
    assert crops.min() >= 0 and crops.max() <= 1


def test_colours_change_a_little_and_grey_stays_grey():
    torch.manual_seed(0)
    grey = torch.full((50, 3, 4, 4), 0.5)
    changed = jitter(grey)
    torch.testing.assert_close(changed[:, 0], changed[:, 2])
    assert changed.min() >= 0.5 * 0.7 and changed.max() <= 0.5 * 1.3 and changed.std() > 0.05


def test_half_of_the_photographs_lose_a_rectangle():
    torch.manual_seed(0)
    lost = (erase(torch.ones(200, 3, 40, 40)) == 0).float().mean((1, 2, 3))
    assert 70 < (lost > 0).sum() < 130
    assert lost.max() <= (ERASED[1] + 0.05) ** 2
