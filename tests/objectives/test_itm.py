import math

import numpy as np
import torch

from fashionfae_lavis.objectives.itm import draw_pairs, hardest_text, itm_loss

SIMILARITY = torch.tensor([[9.0, 8.0, 1.0, 2.0], [7.0, 9.0, 3.0, 2.0], [1.0, 2.0, 9.0, 3.0], [4.0, 3.0, 2.0, 9.0]])
PRODUCTS = torch.tensor([5, 5, 6, 7])  # rows 0 and 1 are one product


def test_the_hardest_text_is_the_most_similar_of_another_product():
    index, found = hardest_text(SIMILARITY, PRODUCTS)
    assert index.tolist() == [3, 2, 3, 0] and found.all()


def test_half_of_the_images_get_their_hard_negative():
    draws = np.random.default_rng(0)
    replaced = np.array([draw_pairs(SIMILARITY, PRODUCTS, draws).match == 0 for _ in range(1000)])
    assert abs(replaced.mean() - 0.5) < 0.03
    rng, coins = np.random.default_rng(3), np.random.default_rng(3).random(4) < 0.5
    pairs = draw_pairs(SIMILARITY, PRODUCTS, rng)
    assert 0 < coins.sum() < 4
    assert pairs.match.tolist() == (~coins).tolist()
    assert pairs.text.tolist() == np.where(coins, [3, 2, 3, 0], range(4)).tolist()
    assert rng.random() == np.random.default_rng(3).random(5)[4]  # one draw an image


def test_a_batch_of_one_product_has_no_negative():
    one = torch.tensor([4, 4, 4, 4])
    assert not hardest_text(SIMILARITY, one)[1].any()
    pairs = draw_pairs(SIMILARITY, one, np.random.default_rng(0))
    assert pairs.text.tolist() == [0, 1, 2, 3] and pairs.match.all()


def test_equal_texts_are_no_negatives_of_each_other():
    texts = torch.tensor([0, 1, 2, 0])  # rows 0 and 3 have the same text
    index, found = hardest_text(SIMILARITY, PRODUCTS, texts)
    assert index.tolist() == [2, 2, 3, 1] and found.all()
    same = torch.zeros(4, dtype=torch.long)
    assert draw_pairs(SIMILARITY, torch.arange(4), np.random.default_rng(0), same).match.all()


def test_the_loss_is_cross_entropy_and_accuracy_the_share_of_correct_pairs():
    logits, match = torch.tensor([[0.5, 2.0], [1.0, -1.0], [0.0, 1.0]]), torch.tensor([1, 0, 0])
    output = itm_loss(logits, match)
    rows = zip(logits.tolist(), match.tolist(), strict=True)
    expected = sum(math.log(math.exp(no) + math.exp(yes)) - (no, yes)[target] for (no, yes), target in rows) / 3
    assert abs(output.loss.item() - expected) < 1e-6
    assert abs(output.accuracy.item() - 2 / 3) < 1e-6
