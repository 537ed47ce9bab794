"""Recognition: which category or subcategory a product is of (METHOD 4 and 5)."""

import logging
from pathlib import Path

import numpy as np
import torch
from lavis.common.registry import registry
from lavis.datasets.data_utils import apply_to_sample
from lavis.tasks.base_task import BaseTask
from lavis.tasks.multimodal_classification import MultimodalClassificationTask
from omegaconf import open_dict
from torch import Tensor

from fashionfae_lavis.datasets.loaders import share_of_loader
from fashionfae_lavis.distributed import gather_in_order
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.metrics.recognition import (
    accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    majority_class,
    predicted_classes,
)
from fashionfae_lavis.reports.confusion import draw_confusion
from fashionfae_lavis.reports.tables import recognition_table
from fashionfae_lavis.tasks.starting_point import build_from_checkpoint


@torch.no_grad()
def predict_classes(model, data_loader) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class numbers (N,) of a data loader's samples, in its order; the processes share the work."""
    batches = []
    for samples in share_of_loader(data_loader):
        output = model.predict(apply_to_sample(lambda x: x.to(model.device), samples))
        batches.append(np.stack((output["targets"].cpu().numpy(), predicted_classes(output["predictions"])), axis=1))
    truth, predicted = gather_in_order(batches).T
    return truth, predicted


@registry.register_task("fashion_recognition")
class FashionRecognitionTask(BaseTask):
    """Trains and evaluates classification of labelled products, also by LAVIS's own classification models.

    The classes come from the training split (`label` of the data set); they become `model.classes` and
    `model.num_classes`, and so a part of the checkpoint.
    """

    def __init__(self):
        super().__init__()
        self.evaluated = None  # class names and confusion matrix of the last evaluation

    @classmethod
    def setup_task(cls, cfg):
        return cls()

    def build_datasets(self, cfg) -> dict:
        datasets = super().build_datasets(cfg)
        if len(datasets) > 1:
            raise UserError(f"`datasets`: recognition takes one data set, not {', '.join(datasets)}.")
        ((name, splits),) = datasets.items()
        train = splits["train"]
        if getattr(train, "labels", None) is None:
            raise UserError(f"`datasets.{name}.label` is not set: set it to category or sub category.")
        with open_dict(cfg.model_cfg):
            cfg.model_cfg.classes, cfg.model_cfg.num_classes = train.classnames, len(train.classnames)
        return datasets

    def build_model(self, cfg):
        """From the checkpoint in `model.pretrained`; see starting_point.py, also for the errors.

        Raises:
            UserError: there is only to be evaluation, and the classifier is not trained.
        """
        model = build_from_checkpoint(cfg, super().build_model)
        if cfg.run_cfg.get("evaluate") and getattr(model, "head_is_new", False):
            raise UserError(
                "There is no trained classifier to evaluate: set `model.pretrained` to a checkpoint of a "
                "fashion_recognition run."
            )
        return model

    def train_step(self, model, samples: dict) -> dict[str, Tensor]:
        output = model(samples)  # of LAVIS's models also features
        return {name: output[name] for name in ("loss", "acc") if name in output}

    def before_evaluation(self, model, dataset, **kwargs):
        # LAVIS's CLIP makes its classifier from the class names for this task.
        model.before_evaluation(dataset=dataset, task_type=MultimodalClassificationTask)

    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> dict:
        """Accuracy and macro-F1 in percent; each image is an example.

        Returns:
            "accuracy", "macro_f1", "chance" (the same two of always answering the most frequent class), "images",
            "classes", "unseen" (images of each class that the training split lacks: they count as errors) and
            "agg_metrics", the accuracy.
        """
        dataset = data_loader.dataset
        names = [*dataset.classnames, *dataset.unseen]
        truth, predicted = predict_classes(model, data_loader)
        confusion = confusion_matrix(truth, predicted, len(names))
        constant = majority_class(confusion)
        unseen = {name: int((truth == names.index(name)).sum()) for name in dataset.unseen}
        if unseen:
            logging.warning("%d images are of classes that the training split lacks.", sum(unseen.values()))
        self.evaluated = names, confusion
        return {
            "accuracy": accuracy(confusion),
            "macro_f1": macro_f1(confusion),
            "chance": {"accuracy": accuracy(constant), "macro_f1": macro_f1(constant)},
            "images": len(truth),
            "classes": len(dataset.classnames),
            "unseen": unseen,
            "agg_metrics": accuracy(confusion),
        }

    def after_evaluation(self, val_result, split_name, epoch, **kwargs) -> dict:
        return val_result

    def report(self, model, output_dir: Path) -> dict:
        """What the end of a run shows beside its figures: a table of the classes and a picture of what is confused.

        Returns:
            {"per_class": {name: {"precision", "recall", "f1" (percent), "support" (images)}}, "confusion": its path}.
        """
        names, confusion = self.evaluated
        scores = class_scores(confusion)
        path = output_dir / "confusion.png"
        draw_confusion(names, confusion, path)
        per_class = {name: {key: values[i].item() for key, values in scores.items()} for i, name in enumerate(names)}
        return {"per_class": per_class, "confusion": str(path)}

    def format(self, results: dict) -> str:
        """Results and report as tables for people."""
        return recognition_table(results)
