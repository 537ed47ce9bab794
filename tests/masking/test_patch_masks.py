import numpy as np
import pytest

from fashionfae_lavis.masking.patch_masks import batch_block_masks, block_mask


def covered_by_rectangles(mask, smallest):
    """Returns whether every masked patch is part of a masked rectangle of at least `smallest` patches."""
    grid = len(mask)
    covered = np.zeros_like(mask)
    for top in range(grid):
        for left in range(grid):
            for bottom in range(top + 1, grid + 1):
                for right in range(left + 1, grid + 1):
                    block = np.s_[top:bottom, left:right]
                    if mask[block].size >= smallest and mask[block].all():
                        covered[block] = True
    return (covered == mask).all()


def test_exactly_so_many_patches_in_blocks():
    rng = np.random.default_rng(0)
    for _ in range(100):
        mask = block_mask(rng)
        assert mask.shape == (49,) and mask.dtype == bool and mask.sum() == 8
        assert covered_by_rectangles(mask.reshape(7, 7), smallest=4)


def test_every_patch_is_hidden_sometimes_and_shapes_differ():
    masks = batch_block_masks(np.random.default_rng(0), 600)
    assert masks.shape == (600, 49) and (masks.sum(1) == 8).all()
    assert masks.mean(0).min() > 0.03 and masks.mean() == pytest.approx(8 / 49)
    assert len(np.unique(masks, axis=0)) > 200


def test_masks_are_seeded():
    first, again, other = (batch_block_masks(np.random.default_rng(seed), 5) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize("patches", [0, 1, 3, 4])
def test_single_patches_fill_up_where_no_block_fits(patches):
    assert block_mask(np.random.default_rng(0), grid=2, num_patches=patches).sum() == patches


def test_more_patches_than_the_grid_has():
    with pytest.raises(ValueError, match="between 0 and 49, not 50"):
        block_mask(np.random.default_rng(0), num_patches=50)


def test_an_empty_batch():
    assert batch_block_masks(np.random.default_rng(0), 0).shape == (0, 49)
