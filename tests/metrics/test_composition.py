"""Recall of text-guided retrieval against a slow, obvious reference."""

import numpy as np
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.composition import chance_recall, composed_recall

NAMES = np.array(["dress", "shirt", "toptee"])


def toy(queries=97, images=301, dimensions=5, seed=0):
    """Random queries near their targets; some images are nobody's reference or target, some are many queries'."""
    rng = np.random.default_rng(seed)
    classes = NAMES[rng.integers(3, size=images)]
    gallery = rng.normal(size=(images, dimensions)).astype(np.float32)
    target = rng.integers(images, size=queries)
    # A reference of the same class; a few images are the reference of most queries.
    reference = np.array([rng.choice(np.flatnonzero(classes == classes[t])[:9]) for t in target])
    query = gallery[target] + 0.9 * rng.normal(size=(queries, dimensions)).astype(np.float32)
    return query, gallery, reference, target, classes


def slow_recall(query, gallery, reference, target, classes, name, kind, top):
    """Sorts the images of one query at a time, with the target after all images of equal score."""
    asked = [q for q in range(len(query)) if classes[target[q]] == name]
    members = [i for i in range(len(gallery)) if classes[i] == name]
    if kind == "queried":
        used = {reference[q] for q in asked} | {target[q] for q in asked}
        members = [i for i in members if i in used]
    hits = 0
    for q in asked:
        scores = {i: float(np.float32(query[q] @ gallery[i])) for i in members}
        order = sorted(members, key=lambda i, scores=scores, right=target[q]: (-scores[i], i == right))
        hits += target[q] in order[:top]
    return 100 * hits / len(asked)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["split", "queried"])
def test_it_equals_the_slow_reference(seed, kind):
    data = toy(seed=seed)
    result = composed_recall(*data)[kind]
    assert list(result) == [*NAMES, "mean"]
    for name in NAMES:
        for top in (10, 50):
            assert result[name][f"r{top}"] == pytest.approx(slow_recall(*data, name, kind, top)), (name, top)
        assert result[name]["mean"] == pytest.approx((result[name]["r10"] + result[name]["r50"]) / 2)
    for key in ("r10", "r50", "mean"):
        assert result["mean"][key] == pytest.approx(np.mean([result[name][key] for name in NAMES]))


def test_the_galleries_differ():
    result = composed_recall(*toy())
    assert result["queried"]["mean"]["r10"] > result["split"]["mean"]["r10"] > 0


def test_only_images_of_the_class_compete():
    gallery = np.concatenate([np.full((60, 1), 2.0), np.full((1, 1), 1.0)])
    classes = ["shirt"] * 60 + ["dress"]
    result = composed_recall(np.ones((1, 1)), gallery, [60], [60], classes)
    assert result["split"] == {
        "dress": {"r10": 100.0, "r50": 100.0, "mean": 100.0},
        "mean": {"r10": 100.0, "r50": 100.0, "mean": 100.0},
    }


def test_equal_scores_count_against_us():
    """Among n equal images the target comes last, so it is in the first 10 only if n is at most 10."""
    for size, r10, r50 in ((10, 100, 100), (11, 0, 100), (50, 0, 100), (51, 0, 0)):
        same = np.ones((size, 4))
        result = composed_recall(same[:1], same, [1], [0], ["dress"] * size)["split"]["dress"]
        assert (result["r10"], result["r50"]) == (r10, r50), size


def test_the_reference_stays_in_the_gallery():
    """Nine decoys and the target: with the reference, which scores highest, the target is the eleventh."""
    gallery = np.array([[3.0]] + [[2.0]] * 9 + [[1.0]])
    result = composed_recall([[1.0]], gallery, [0], [10], ["dress"] * 11)["split"]["dress"]
    assert result["r10"] == 0 and result["r50"] == 100


def test_queries_that_share_reference_and_target_all_count():
    gallery = np.eye(12)
    result = composed_recall(gallery[[0, 0, 0]], gallery, [1, 1, 1], [0, 0, 0], ["dress"] * 12)
    assert result["queried"]["dress"]["r10"] == 100
    chance = chance_recall([1, 1, 1], [0, 0, 0], ["dress"] * 12)
    assert chance["queried"]["dress"]["r10"] == 100 and chance["split"]["dress"]["r10"] == pytest.approx(1000 / 12)


def test_chance_is_what_random_embeddings_get():
    _, _, reference, target, classes = toy(queries=2000, images=400)
    rng = np.random.default_rng(1)
    result = composed_recall(rng.normal(size=(2000, 32)), rng.normal(size=(400, 32)), reference, target, classes)
    chance = chance_recall(reference, target, classes)
    for gallery in ("split", "queried"):
        assert result[gallery]["mean"]["r10"] == pytest.approx(chance[gallery]["mean"]["r10"], abs=2)
        assert result[gallery]["mean"]["r50"] == pytest.approx(chance[gallery]["mean"]["r50"], abs=3.5)


def test_embeddings_that_are_not_finite_are_an_error():
    query, *rest = toy()
    query[5, 1] = np.nan
    with pytest.raises(UserError, match="query embeddings are not finite"):
        composed_recall(query, *rest)


def test_lengths_that_do_not_agree_are_an_error():
    query, gallery, reference, target, classes = toy()
    with pytest.raises(ValueError, match="97 embeddings with rows or classes"):
        composed_recall(query, gallery, reference[:-1], target, classes)
    with pytest.raises(ValueError, match="301 embeddings with rows or classes"):
        composed_recall(query, gallery, reference, target, classes[:-1])
