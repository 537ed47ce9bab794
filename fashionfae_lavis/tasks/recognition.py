"""Recognition: fine-tuning and evaluation of category or subcategory classifiers."""

from dataclasses import replace
from typing import Any

from lavis.common.registry import registry
from lavis.tasks.multimodal_classification import MultimodalClassificationTask
from omegaconf import open_dict
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import LabelledSplit, require
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.recognition import RecognitionResult, evaluate_recognition
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.tasks.base import FashionTask
from fashionfae_lavis.tasks.starting_point import checkpoint_classes


@registry.register_task("fashion_recognition")
class FashionRecognitionTask(FashionTask):
    """Task that trains and evaluates classifiers of labelled products, including LAVIS's classification models.

    The classes come from the training split (`label` of the dataset) or, without one, from the checkpoint. They are
    stored as `model.classes` and `model.num_classes`, which checkpoints keep.
    """

    starts_from_checkpoint = True
    train_protocol = split_protocol = LabelledSplit
    evaluation_kind = "recognition"

    def build_datasets(self, cfg: Any) -> dict[str, dict[str, Any]]:
        """Builds the dataset and writes its classes into the `model` section.

        Raises:
            UserError: there are several datasets, or the dataset has no labels.
        """
        if len(cfg.datasets_cfg) > 1:
            raise UserError(f"`datasets`: recognition takes one dataset, not {', '.join(cfg.datasets_cfg)}.")
        ((name, settings),) = cfg.datasets_cfg.items()
        if "label" in settings and not settings.label:
            raise UserError(
                f"`datasets.{name}.label` is not set: set it to an attribute of the products, such as category."
            )
        datasets = super().build_datasets(cfg)
        splits = datasets[name]
        named = splits["train"] if "train" in splits else next(iter(splits.values()))
        require(named, LabelledSplit, cfg.run_cfg.task)  # its classes are needed even if nothing is trained
        classes = None if "train" in splits else checkpoint_classes(cfg.model_cfg)
        if classes:
            for split in splits.values():
                split.use_classes(classes)
        with open_dict(cfg.model_cfg):
            cfg.model_cfg.classes, cfg.model_cfg.num_classes = named.classnames, len(named.classnames)
        return datasets

    def check_model(self, adapter: Adapter, arch: str) -> None:
        if not adapter.classifies:
            raise UserError(
                f"model.arch: {arch} has no classifier: set it to fashionfae_recognition, fashion_blip_recognition or "
                "fashion_albef_recognition, or to fashion_clip, which classifies without training."
            )
        if self.run.get("evaluate") and adapter.classifier_is_new:
            raise UserError(
                "There is no trained classifier to evaluate: set `model.pretrained` to a checkpoint of a "
                "fashion_recognition run."
            )

    def before_evaluation(self, model: Any, dataset: Any, **kwargs: Any) -> None:
        # LAVIS's CLIP makes its classifier from the class names for this task.
        model.before_evaluation(dataset=dataset, task_type=MultimodalClassificationTask)

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> RecognitionResult:
        return evaluate_recognition(model, data_loader)

    def finish(self, model: Any, result: RecognitionResult) -> RecognitionResult:
        """Adds the scores of each class to results.json."""
        return replace(result, by_class=True)
