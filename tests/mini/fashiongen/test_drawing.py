"""What is drawn can be seen."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.mini.fashiongen.attributes import GARMENTS, VISIBLE, sample_products
from fashionfae_lavis.mini.fashiongen.drawing import choose_poses, draw_views
from fashionfae_lavis.mini.fashiongen.fabrics import COLOURS
from fashionfae_lavis.mini.fashiongen.sketch import Layer, Sketch, curve, mirror, whole

PRODUCTS = sample_products("train", 60)


def with_look(product, **changes):
    look = product.look() | changes
    return replace(product, visible=tuple((name, look[name]) for name in VISIBLE if name in look))


def front(product, size=128):
    return draw_views(product, size)[0].astype(int)


def test_views_are_rgb_pictures_on_a_pale_ground():
    for product in PRODUCTS[:10]:
        views = draw_views(product, 64)
        assert len(views) == len(choose_poses(product))
        for view, pose in zip(views, choose_poses(product), strict=True):
            assert view.shape == (64, 64, 3) and view.dtype == np.uint8
            if pose != "detail":
                assert view[[0, 0, -1, -1], [0, -1, 0, -1]].min() > 200  # the corners


def test_front_comes_first_and_there_are_about_three_views():
    poses = [choose_poses(product) for product in sample_products("train", 400)]
    assert all(names[0] == "front" and len(set(names)) == len(names) for names in poses)
    assert {len(names) for names in poses} == {2, 3, 4}
    assert 2.85 < np.mean([len(names) for names in poses]) < 3.15


def test_pictures_do_not_depend_on_what_was_drawn_before():
    once = draw_views(PRODUCTS[3], 64)
    draw_views(PRODUCTS[4], 64)
    assert all(np.array_equal(a, b) for a, b in zip(once, draw_views(PRODUCTS[3], 64), strict=True))


@pytest.mark.parametrize("product", PRODUCTS[:10], ids=lambda product: product.subcategory)
def test_each_value_of_each_attribute_changes_the_front(product):
    """At 128 pixels, at least 0.6 % of the picture changes by more than 24 grey levels."""
    for attribute, options in GARMENTS[product.subcategory].options.items():
        pictures = [front(with_look(product, **{"pattern": "plain", attribute: value})) for value in options]
        for i, one in enumerate(pictures):
            for other, value in zip(pictures[:i], options, strict=False):
                changed = (np.abs(one - other).max(-1) > 24).mean()
                assert changed > 0.006, (attribute, options[i], value)


@pytest.mark.parametrize("colour", COLOURS)
def test_plain_cotton_has_the_colour_that_it_is_named_by(colour):
    product = with_look(PRODUCTS[0], colour=colour, pattern="plain", fabric="cotton", neckline="crew", trim="none")
    chest = front(product, 256)[110:170, 100:156].reshape(-1, 3)
    distances = {name: np.abs(np.median(chest, 0) - first).sum() for name, (first, _, _) in COLOURS.items()}
    assert min(distances, key=distances.get) == colour


def test_a_sketch_paints_back_to_front():
    sketch = Sketch()
    square = np.array([(-10, 0), (10, 0), (10, 20), (-10, 20)])
    sketch.fill(square, Layer.BODY, outline=False)
    sketch.fill(square / 2, Layer.TRIM, outline=False)
    sketch.line([(-10, 15), (10, 15)], Layer.SEAM)
    picture = np.asarray(sketch.paint(lambda points: points + (20, 5), 40, scale=1, thin=1))
    assert picture[2, 20] == Layer.NOTHING
    assert picture[10, 20] == Layer.TRIM
    assert picture[18, 20] == Layer.BODY
    assert picture[20, 20] == Layer.SEAM
    assert sketch.bounds() == (-10, 0, 10, 20)


def test_curves_pass_through_their_points_and_mirror():
    points = curve((0, 0), (3, 1), (5, 4), steps=5)
    assert len(points) == 11
    assert np.allclose(points[[0, 5, 10]], [(0, 0), (3, 1), (5, 4)])
    assert np.allclose(mirror(points)[5], (-3, 1))
    assert len(whole(points)) == 22


def test_size_changes_scale_only():
    product = with_look(PRODUCTS[9], fabric="cotton")
    large, small = (Image.fromarray(draw_views(product, size)[0]) for size in (256, 128))
    difference = np.abs(np.asarray(large.reduce(2)).astype(int) - np.asarray(small))
    assert difference.mean() < 7
