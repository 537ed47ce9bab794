"""Recognition of the category or subcategory of a product. Each image is one example."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from lavis.datasets.data_utils import apply_to_sample
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.loaders import share_of_loader
from fashionfae_lavis.datasets.protocols import LabelledSplit
from fashionfae_lavis.distributed import gather_in_order
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.metrics.recognition import (
    accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    majority_class,
    most_confused,
    predicted_classes,
)
from fashionfae_lavis.reports.confusion import draw_confusion
from fashionfae_lavis.reports.tables import SHOWN, recognition_table


class Classifier(Protocol):
    """Interface of LAVIS's classification models."""

    @property
    def device(self) -> Any: ...

    def predict(self, samples: dict[str, Any]) -> dict[str, Any]:
        """Returns logits "predictions" (B, K) and labels "targets" (B,) of a batch."""


@dataclass(frozen=True, eq=False)
class RecognitionResult(EvaluationResult):
    """Accuracy and macro-F1 in percent.

    Attributes:
        names: the K classes of the training split or the checkpoint, followed by classes that only this split has.
        classes: K, the number of classes of the training split.
        confusion: counts of images by true class (row) and predicted class (column).
        by_class: whether `to_json` holds the scores of each class and the most frequent confusions.
    """

    names: Sequence[str]
    classes: int
    confusion: NDArray[np.int64]
    by_class: bool = False

    @property
    def unseen(self) -> dict[str, int]:
        """Class missing from the training split -> number of its images, which all count as errors."""
        return {self.names[row]: int(self.confusion[row].sum()) for row in range(self.classes, len(self.names))}

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Class -> "precision", "recall", "f1" (percent) and "support" (images)."""
        scores = class_scores(self.confusion)
        return {name: {key: values[i].item() for key, values in scores.items()} for i, name in enumerate(self.names)}

    @property
    def confusions(self) -> list[dict[str, Any]]:
        """The most frequent errors: "true" and "predicted" class, "count", "share" of the true class in percent."""
        images = self.confusion.sum(1)
        return [
            {
                "true": self.names[true],
                "predicted": self.names[predicted],
                "count": int(self.confusion[true, predicted]),
                "share": 100 * float(self.confusion[true, predicted] / images[true]),
            }
            for true, predicted in most_confused(self.confusion, SHOWN)
        ]

    def to_json(self) -> dict[str, Any]:
        constant = majority_class(self.confusion)
        figures = {
            "accuracy": accuracy(self.confusion),
            "macro_f1": macro_f1(self.confusion),
            "chance": {"accuracy": accuracy(constant), "macro_f1": macro_f1(constant)},
            "images": int(self.confusion.sum()),
            "classes": self.classes,
            "unseen": self.unseen,
            "agg_metrics": accuracy(self.confusion),
        }
        return figures | self._of_classes() if self.by_class else figures

    def _of_classes(self) -> dict[str, Any]:
        return {"per_class": self.per_class, "confusions": self.confusions}

    def table(self) -> str:
        return recognition_table(self.to_json() | self._of_classes())

    def draw(self, folder: Path) -> dict[str, str]:
        path = folder / "confusion.png"
        draw_confusion(self.names, self.confusion, path)
        return {"confusion": str(path)}


def evaluate_recognition(model: Classifier, data_loader: DataLoader[Any]) -> RecognitionResult:
    """Classifies every image of a `LabelledSplit`; the processes share the work.

    Raises:
        UserError: a logit is not finite.
    """
    split = cast(LabelledSplit, data_loader.dataset)
    names = [*split.classnames, *split.unseen]
    truth, predicted = predict_classes(model, data_loader)
    result = RecognitionResult(names, len(split.classnames), confusion_matrix(truth, predicted, len(names)))
    if result.unseen:
        images = sum(result.unseen.values())
        logging.warning("%d images belong to classes that the training split lacks.", images)
    return result


@torch.no_grad()
def predict_classes(model: Classifier, data_loader: DataLoader[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the true and the predicted class indices (N,) of a data loader's samples, in the loader's order."""
    batches = []
    for samples in share_of_loader(data_loader):
        output = model.predict(apply_to_sample(lambda x: x.to(model.device), samples))
        batches.append(np.stack((output["targets"].cpu().numpy(), predicted_classes(output["predictions"])), axis=1))
    truth, predicted = gather_in_order(batches).T
    return truth, predicted
