import numpy as np
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.search import mean_reciprocal_rank, precision, recall, right_ranks


def found_products(query, images, owner, answers, number):
    """Sorts the products for one query: best image first, wrong products first among equal scores."""
    scores = {}
    for embed, product in zip(images, owner, strict=True):
        score = sum(float(a) * float(b) for a, b in zip(query, embed, strict=True))
        scores[product] = max(scores.get(product, -1e9), score)
    return sorted(scores, key=lambda product: (-round(scores[product], 4), answers[product] == number))


@pytest.mark.parametrize("products", [4, 40])
@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_a_slow_reference_with_many_ties(products, seed):
    """Embeddings of a few small integers make most scores equal to others."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(products), rng.integers(0, products, 30)]))
    images, queries = rng.integers(-1, 2, (len(owner), 3)), rng.integers(-1, 2, (5, 3))
    answers = rng.integers(-1, 5, products)
    answers[:4] = [0, 1, 2, 3]
    queries[4], answers[answers == 4] = 1, -1  # nothing is right for the last query
    right = np.bincount(answers[answers >= 0], minlength=5)
    ranks = right_ranks(queries, images, owner, answers, chunk=2)
    asked = np.flatnonzero(right)
    p, r, reciprocal = {1: [], 10: []}, {1: [], 10: []}, []
    for number in asked:
        found = found_products(queries[number], images, owner, answers, number)
        hits = [answers[product] == number for product in found]
        for k in (1, 10):
            p[k].append(100 * sum(hits[:k]) / k)
            r[k].append(100 * sum(hits[:k]) / sum(answers == number))
        reciprocal.append(100 / (1 + hits.index(True)) if True in hits[:10] else 0)
    for k in (1, 10):
        assert precision(ranks[asked], k) == pytest.approx(np.mean(p[k]))
        assert recall(ranks[asked], right[asked], k) == pytest.approx(np.mean(r[k]))
    assert mean_reciprocal_rank(ranks[asked]) == pytest.approx(np.mean(reciprocal))
    assert (ranks[right == 0] > products).all()


def test_equal_embeddings_score_as_badly_as_possible():
    images = np.tile([[0.6, 0.8]], (30, 1)) + np.random.default_rng(0).uniform(-1e-8, 1e-8, (30, 2))
    ranks = right_ranks([[1.0, 0.0]], images, np.arange(30), np.r_[0, 0, 0, [-1] * 27])
    assert precision(ranks, 10) == mean_reciprocal_rank(ranks) == 0
    few = right_ranks([[1.0, 0.0]], images[:4], np.arange(4), np.array([0, 0, 0, -1]))
    assert few.tolist()[0][:3] == [2, 3, 4]


def test_a_product_scores_as_its_best_image():
    images, owner = [[0.1], [0.9], [0.5]], [0, 0, 1]
    assert right_ranks([[1.0]], images, owner, [0, -1])[0, 0] == 1
    assert right_ranks([[1.0]], images, owner, [-1, 0])[0, 0] == 2


def test_a_diverged_model_is_an_error():
    with pytest.raises(UserError, match="image embeddings are not finite"):
        right_ranks([[1.0]], [[np.nan]], [0], [0])
