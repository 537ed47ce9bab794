"""Requests: kinds of garment, changes, and no leak between the splits."""

import numpy as np
import pytest

from fashionfae_lavis.mini.fashiongen.attributes import held_out, sample_products
from fashionfae_lavis.mini.fashioniq.requests import CLASSES, POOLS, image_id, sample_split

SIZE = 60


@pytest.fixture(scope="module")
def splits():
    return {split: sample_split(split, SIZE, seed=0) for split in POOLS}


def looks(split):
    return [(product.subcategory, product.visible) for garments, _ in split.values() for product in garments]


def test_counts(splits):
    for split, (pools, requests) in POOLS.items():
        assert list(splits[split]) == list(CLASSES)
        for garments, asked in splits[split].values():
            assert len(garments) == pools * SIZE and len(asked) == pools * requests


def test_each_class_has_its_kinds_of_garment(splits):
    for name, subcategories in CLASSES.items():
        kinds = {product.subcategory for product in splits["train"][name][0]}
        assert kinds == set(subcategories)


def test_a_request_changes_one_or_two_attributes_of_the_same_kind(splits):
    for split in splits.values():
        for garments, requests in split.values():
            shown = set(map(image_id, garments))
            for request in requests:
                old, new = request.reference.look(), request.target.look()
                assert request.reference.subcategory == request.target.subcategory and old.keys() == new.keys()
                assert request.changes() == [name for name in old if old[name] != new[name]]
                assert {image_id(request.reference), image_id(request.target)} <= shown
            counts = [len(request.changes()) for request in requests]
            assert set(counts) == {1, 2} and np.mean(counts) == pytest.approx(1.75, abs=0.02)


def test_no_look_and_no_request_comes_twice(splits):
    for split in splits.values():
        assert len(set(looks(split))) == len(looks(split))
        pairs = [(image_id(r.reference), image_id(r.target)) for _, requests in split.values() for r in requests]
        assert len(set(pairs)) == len(pairs)


def test_ids_are_those_of_one_image_each(splits):
    ids = [image_id(product) for split in splits.values() for garments, _ in split.values() for product in garments]
    assert len(set(ids)) == len(ids) and {len(name) for name in ids} == {10}


def test_nothing_that_one_data_set_tests_is_trained_on_by_the_other(splits):
    assert not any(held_out(*look) for look in looks(splits["train"]))
    assert all(held_out(*look) for look in looks(splits["val"]))
    fashiongen = {
        split: {(product.subcategory, product.visible) for product in sample_products(split, 500)}
        for split in ("train", "validation")
    }
    assert not fashiongen["validation"] & set(looks(splits["train"]))
    assert not fashiongen["train"] & set(looks(splits["val"]))
    assert not set(looks(splits["train"])) & set(looks(splits["val"]))


def test_some_validation_images_are_nobodys_reference_or_target(splits):
    for garments, requests in splits["val"].values():
        queried = {image_id(product) for request in requests for product in (request.reference, request.target)}
        assert 0.3 < len(queried) / len(garments) < 1


def test_pools_are_dense():
    """Half of the garments have at least five others that differ from them in no more than two attributes."""
    for garments, _ in sample_split("val", 200, seed=0).values():
        for start in range(0, len(garments), 200):
            values = np.array([[value for _, value in product.visible] for product in garments[start : start + 200]])
            near = ((values[:, None] != values).sum(-1) <= 2).sum(1) - 1
            assert np.median(near) >= 5


def test_another_seed_is_another_data_set(splits):
    again = sample_split("val", SIZE, seed=0)
    other = sample_split("val", SIZE, seed=1)
    assert looks(again) == looks(splits["val"]) != looks(other)
