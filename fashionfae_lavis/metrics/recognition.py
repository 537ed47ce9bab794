"""Classification: confusion matrix, accuracy, precision, recall, F1 of each class and their mean (METHOD 5).

All figures but the matrix are in percent.
"""

import numpy as np
import torch
from torch import Tensor

from fashionfae_lavis.errors import UserError


def predicted_classes(logits: Tensor) -> np.ndarray:
    """Logits (B, K) -> class of the highest (B,); of equal ones the first, whatever the right one is.

    Raises:
        UserError: a logit is not finite.
    """
    if not torch.isfinite(logits).all():
        raise UserError("the model's logits are not finite: it has diverged, use an earlier checkpoint")
    return logits.float().cpu().numpy().argmax(1)  # numpy's is the first; torch leaves open which


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Class numbers (N,) and (N,) -> counts (K, K): row the true class, column the predicted one."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 1 or truth.shape != predicted.shape or len(truth) == 0:
        raise ValueError(f"{truth.shape} true and {predicted.shape} predicted classes: both must be (N,) with N > 0")
    if min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) >= classes:
        raise ValueError(f"class numbers must be in 0..{classes - 1}")
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """Share of the examples on the diagonal."""
    return 100 * float(np.trace(confusion) / confusion.sum())


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (K,) of each class.

    Returns:
        "precision" TP / predicted, "recall" TP / true, "f1" 2 TP / (predicted + true), each 0 where the denominator
        is, and "support", the number of true examples.
    """
    hits, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return {
        "precision": 100 * hits / np.maximum(predicted, 1),
        "recall": 100 * hits / np.maximum(true, 1),
        "f1": 200 * hits / np.maximum(predicted + true, 1),
        "support": true,
    }


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur in truth or prediction.

    That is scikit-learn's `f1_score(average="macro")`, which published figures are made with. A class that occurs in
    neither has no F1 (0 / 0), and would make the figure depend on how many classes a list happens to have. One that is
    only predicted counts as 0: it was named wrongly. One that is never predicted counts as 0 too.
    """
    occurs = confusion.sum(0) + confusion.sum(1) > 0
    return float(class_scores(confusion)["f1"][occurs].mean())


def majority_class(confusion: np.ndarray) -> np.ndarray:
    """Chance: the confusion matrix of always answering the class that is most frequent in truth."""
    constant = np.zeros_like(confusion)
    constant[:, confusion.sum(1).argmax()] = confusion.sum(1)
    return constant
