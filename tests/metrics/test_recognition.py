"""Classification figures against a slow, obvious reference and worked examples."""

import numpy as np
import pytest
import torch

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.recognition import (
    accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    majority_class,
    most_confused,
    predicted_classes,
)


def ratio(part, whole):
    """Divides, with 0 for a zero denominator as with scikit-learn's zero_division=0."""
    return part / whole if whole else 0.0


def slow_scores(truth, predicted, label):
    """Precision, recall, F1 and support of one class, by counting one example after the other."""
    pairs = list(zip(truth, predicted, strict=True))
    hits = sum(t == label and p == label for t, p in pairs)
    precision = ratio(hits, sum(p == label for _, p in pairs))
    recall = ratio(hits, sum(t == label for t, _ in pairs))
    return precision, recall, ratio(2 * precision * recall, precision + recall), sum(t == label for t, _ in pairs)


def slow_macro_f1(truth, predicted):
    """scikit-learn's f1_score(truth, predicted, average="macro"), written out."""
    labels = set(truth) | set(predicted)
    return 100 * sum(slow_scores(truth, predicted, label)[2] for label in labels) / len(labels)


@pytest.mark.parametrize(
    ("examples", "classes", "used"), [(1, 1, 1), (1, 5, 5), (7, 3, 3), (101, 13, 9), (1000, 48, 40)]
)
@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_the_slow_reference(examples, classes, used, seed):
    """`used` of the classes occur at most, so that some of the list have no example."""
    rng = np.random.default_rng(seed)
    some = rng.permutation(classes)[:used]
    truth, predicted = rng.choice(some, examples), rng.choice(some, examples)
    predicted = np.where(rng.random(examples) < 0.4, truth, predicted)
    confusion = confusion_matrix(truth, predicted, classes)
    for t in range(classes):
        for p in range(classes):
            assert confusion[t, p] == sum((truth == t) & (predicted == p))
    assert accuracy(confusion) == pytest.approx(100 * sum(truth == predicted) / examples)
    assert macro_f1(confusion) == pytest.approx(slow_macro_f1(truth.tolist(), predicted.tolist()))
    scores = class_scores(confusion)
    for label in range(classes):
        *shares, support = slow_scores(truth.tolist(), predicted.tolist(), label)
        assert [scores[key][label] for key in ("precision", "recall", "f1")] == pytest.approx([100 * s for s in shares])
        assert scores["support"][label] == support


def test_the_example_of_scikit_learn_s_documentation():
    confusion = confusion_matrix([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], 3)
    assert macro_f1(confusion) == pytest.approx(100 * 0.26666666)
    assert class_scores(confusion)["f1"] == pytest.approx([80, 0, 0])


def test_which_classes_the_mean_goes_over():
    truth, predicted = [0, 0, 1, 1], [0, 0, 1, 1]
    assert macro_f1(confusion_matrix(truth, predicted, 2)) == macro_f1(confusion_matrix(truth, predicted, 9)) == 100
    # a class that is only predicted counts as 0, and so does one that is never predicted
    f1 = 2 * 1 * 0.5 / 1.5
    assert macro_f1(confusion_matrix(truth, [0, 0, 1, 5], 9)) == pytest.approx(100 * (1 + f1 + 0) / 3)
    assert macro_f1(confusion_matrix([0, 0, 1, 5], [0, 0, 1, 1], 9)) == pytest.approx(100 * (1 + f1 + 0) / 3)


def test_always_the_most_frequent_class():
    constant = majority_class(confusion_matrix([2, 2, 2, 0, 1], [0, 1, 2, 0, 1], 4))
    assert constant.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 3, 0], [0, 0, 0, 0]]
    assert accuracy(constant) == pytest.approx(60)
    assert macro_f1(constant) == pytest.approx(100 * 0.75 / 3)


def test_of_equal_logits_the_first_class_is_named():
    """A model whose logits are all equal scores like a model that always predicts the first class."""
    logits = torch.zeros(5, 130)
    logits[1, 7] = logits[1, 100] = 3
    assert predicted_classes(logits).tolist() == [0, 7, 0, 0, 0]
    truth = np.array([3, 7, 0, 1, 2])
    assert accuracy(confusion_matrix(truth, predicted_classes(logits), 130)) == 40


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(wrong):
    logits = torch.zeros(3, 2)
    logits[2, 1] = wrong
    with pytest.raises(UserError, match="logits are not finite"):
        predicted_classes(logits)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0], "both must be"),
        ([], [], "both must be"),
        ([0, 2], [0, 1], r"must be in 0\.\.1"),
        ([0, 1], [0, -1], r"must be in 0\.\.1"),
    ],
)
def test_numbers_that_make_no_sense_are_an_error(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, predicted, 2)


def test_the_most_frequent_errors_come_first():
    truth, predicted = np.random.default_rng(3).integers(0, 6, (2, 300))
    errors = [(t, p) for t, p in zip(truth.tolist(), predicted.tolist(), strict=True) if t != p]
    expected = sorted(set(errors), key=lambda pair: (-errors.count(pair), pair))
    assert most_confused(confusion_matrix(truth, predicted, 6), 8) == expected[:8]
    assert most_confused(confusion_matrix(truth, predicted, 6), 1000) == expected
