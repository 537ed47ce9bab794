"""Classification metrics: confusion matrix, accuracy, precision, recall and F1 of each class, and macro-F1.

All figures except the matrix are in percent.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fashionfae_lavis.errors import UserError


def predicted_classes(logits: Tensor) -> NDArray[np.int64]:
    """Returns the class (B,) of the highest of the logits (B, K), the first class if several are equal.

    Raises:
        UserError: a logit is not finite.
    """
    if not torch.isfinite(logits).all():
        raise UserError("The model's logits are not finite: it has diverged, so use an earlier checkpoint.")
    classes: NDArray[np.int64] = logits.float().cpu().numpy().argmax(1)  # torch does not guarantee the first
    return classes


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts pairs of true and predicted classes.

    Args:
        truth, predicted: (N,) class indices.
        classes: K, the number of classes.

    Returns:
        Counts (K, K) by true class (row) and predicted class (column).

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 1 or truth.shape != predicted.shape or len(truth) == 0:
        raise ValueError(f"{truth.shape} true and {predicted.shape} predicted classes: both must be (N,) with N > 0")
    if min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) >= classes:
        raise ValueError(f"class indices must be in 0..{classes - 1}")
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Computes the percentage of examples on the diagonal.

    >>> accuracy(confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], 2))
    75.0
    """
    return 100 * float(np.trace(confusion) / confusion.sum())


def class_scores(confusion: NDArray[np.int64]) -> dict[str, NDArray[np.floating[Any]] | NDArray[np.int64]]:
    """Computes the scores of each of K classes.

    Returns:
        "precision" TP / predicted, "recall" TP / true, "f1" 2 TP / (predicted + true), each 0 if its denominator is 0,
        and "support", the number of true examples; (K,) each.
    """
    hits, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return {
        "precision": 100 * hits / np.maximum(predicted, 1),
        "recall": 100 * hits / np.maximum(true, 1),
        "f1": 200 * hits / np.maximum(predicted + true, 1),
        "support": true,
    }


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Computes the mean F1 over the classes that occur in truth or prediction.

    This is scikit-learn's `f1_score(average="macro")`, which published figures use. A class that occurs in neither has
    no F1 (0 / 0) and would make the figure depend on the length of the class list. A class that is only predicted
    counts as 0, and so does a class that is never predicted.

    >>> round(macro_f1(confusion_matrix([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], 3)), 3)
    26.667
    """
    occurs = confusion.sum(0) + confusion.sum(1) > 0
    return float(class_scores(confusion)["f1"][occurs].mean())


def most_confused(confusion: NDArray[np.int64], most: int) -> list[tuple[int, int]]:
    """Finds the most frequent errors as pairs (true class, predicted class), most frequent first.

    >>> most_confused(np.array([[5, 1, 0], [3, 0, 0], [0, 0, 2]]), most=5)
    [(1, 0), (0, 1)]
    """
    errors = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    pairs = zip(*(index.tolist() for index in np.unravel_index(order, errors.shape)), strict=True)
    return [(true, predicted) for true, predicted in pairs if errors[true, predicted]]


def majority_class(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the confusion matrix of a constant prediction, the class that is most frequent in truth.

    >>> majority_class(confusion_matrix([0, 1, 1], [0, 0, 1], 2)).tolist()
    [[0, 1], [0, 2]]
    """
    constant = np.zeros_like(confusion)
    constant[:, confusion.sum(1).argmax()] = confusion.sum(1)
    return constant
