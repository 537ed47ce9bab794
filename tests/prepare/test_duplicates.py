import time

import numpy as np
import pytest
from PIL import Image
from prepare.dirty_shop import photograph

from fashionfae_lavis.prepare.duplicates import DISTANCE, WORDS, Fingerprints, _near, fingerprint


def textured(seed):
    coarse = np.random.default_rng(seed).integers(0, 255, (30, 20, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((200, 300), Image.Resampling.BILINEAR)


def print_of(folder, name, image, **options):
    image.save(folder / name, **options)
    with Image.open(folder / name) as saved:
        return fingerprint(folder / name, saved.convert("RGB"))


def groups_of(prints, products=None):
    found = Fingerprints()
    for product, (digest, bits) in enumerate(prints):
        found.add(products[product] if products else product, (digest, bits))
    return found.groups(len(set(products)) if products else len(prints))


def test_equal_files_and_nearly_equal_pictures_are_grouped(tmp_path):
    first, other = textured(0), textured(1)
    prints = [
        print_of(tmp_path, "a.png", first),
        print_of(tmp_path, "b.png", first),
        print_of(tmp_path, "c.jpg", first, quality=60),
        print_of(tmp_path, "d.png", first.resize((100, 150))),
        print_of(tmp_path, "e.png", other),
    ]
    assert prints[0] == prints[1] and len(set(prints)) == 4
    groups = groups_of(prints)
    assert len(set(groups.labels[:4])) == 1 and groups.labels[4] != groups.labels[0]
    assert (groups.identical, groups.near) == (2, 2)
    assert groups.sizes().tolist() == [4, 4, 4, 4, 1]


def test_products_are_connected_by_any_of_their_photographs(tmp_path):
    prints = [print_of(tmp_path, f"{i}.png", photograph(seed)) for i, seed in enumerate((0, 1, 1, 2, 2, 3))]
    groups = groups_of(prints, products=[0, 0, 1, 1, 2, 3])
    assert len(set(groups.labels[:3])) == 1 and groups.labels[3] not in groups.labels[:3]
    assert groups.identical == 3
    assert groups.leaks(np.array([True, False, False, False])) == 2
    assert groups.leaks(np.array([True, True, True, False])) == 0


def test_two_equal_photographs_of_one_product_are_no_duplicate(tmp_path):
    prints = [print_of(tmp_path, f"{i}.png", photograph(0)) for i in range(2)]
    groups = groups_of(prints, products=[0, 0])
    assert (groups.identical, groups.near, groups.sizes().tolist()) == (0, 0, [1])


def test_a_catalogue_without_products_has_no_group():
    assert groups_of([]).labels.tolist() == []


def test_all_pairs_within_the_distance_are_found():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (300, 32 * WORDS), dtype=np.uint8)
    for row in range(150, 300):  # another row with some bits changed
        bits[row] = bits[row - 150]
        bits[row, rng.permutation(32 * WORDS)[: row % 15]] ^= 1
    differ = (bits[:, None] != bits[None]).sum(2)
    expected = {(i, j) for i, j in np.argwhere(differ <= DISTANCE) if i < j}
    found = {tuple(sorted(pair)) for pair in _near(np.packbits(bits, axis=1).view(np.uint32)).tolist()}
    assert found == expected and len(expected) > 70


@pytest.mark.parametrize("equal", [False, True])
def test_many_photographs_take_seconds(equal):
    """All pairs of 100,000 would be 5e9."""
    hashes = np.random.default_rng(0).integers(0, 2**32, (1 if equal else 100_000, WORDS), dtype=np.uint32)
    hashes = np.ascontiguousarray(np.broadcast_to(hashes, (100_000, WORDS)))
    start = time.process_time()
    assert len(_near(hashes)) == (99_999 if equal else 0)
    assert time.process_time() - start < 20
