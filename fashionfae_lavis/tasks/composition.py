"""Text-guided retrieval: an image and a text that changes it ask for another image (METHOD 4 and 5)."""

from pathlib import Path

import numpy as np
from lavis.common.registry import registry
from lavis.tasks.base_task import BaseTask
from torch import Tensor

from fashionfae_lavis.evaluation.embedding import embed_batches, embed_text_list
from fashionfae_lavis.metrics.composition import chance_recall, composed_recall
from fashionfae_lavis.reports.composition_sheet import draw_composition_sheet
from fashionfae_lavis.reports.tables import composition_table
from fashionfae_lavis.tasks.starting_point import build_from_checkpoint


@registry.register_task("fashion_composition")
class FashionCompositionTask(BaseTask):
    """Trains by batch-based classification (the model's loss); evaluates by recall of the target images.

    The split it evaluates has one item per image of the gallery and the requests beside them, as
    FashionIQEvalDataset.
    """

    def __init__(self):
        super().__init__()
        self.evaluated = None  # data set, queries and gallery of the last evaluation

    @classmethod
    def setup_task(cls, cfg):
        return cls()

    def build_model(self, cfg):
        """From the checkpoint in `model.pretrained`; see starting_point.py, also for the errors."""
        return build_from_checkpoint(cfg, super().build_model)

    def train_step(self, model, samples: dict) -> dict[str, Tensor]:
        return model(samples)

    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> dict:
        """Recalls in percent, see metrics/composition.py.

        Returns:
            {"image + text": recalls, "image alone": recalls with reference images as queries, "text alone": with texts
            as queries, "chance": recalls of guessing, "agg_metrics": mean of image + text in the gallery of all
            images}.
        """
        dataset = data_loader.dataset
        # Reference images are images of the gallery, so that each image is encoded once.
        images = embed_batches(
            data_loader, lambda samples: model.image_mean(model.fusion_tokens(samples["image"].to(model.device)))
        )
        texts = embed_text_list(dataset.texts, lambda batch: model.text_mean(model.tokenize(batch)))
        reference = images[dataset.reference]
        gallery = _unit_length(images)
        queries = {"image + text": reference + texts, "image alone": reference, "text alone": texts}
        places = dataset.reference, dataset.target, dataset.row_class
        results = {name: composed_recall(_unit_length(query), gallery, *places) for name, query in queries.items()}
        results["chance"] = chance_recall(*places)
        results["agg_metrics"] = results["image + text"]["split"]["mean"]["mean"]
        self.evaluated = dataset, _unit_length(queries["image + text"]), gallery
        return results

    def after_evaluation(self, val_result, split_name, epoch, **kwargs) -> dict:
        return val_result

    def report(self, model, output_dir: Path) -> dict:
        """What the end of a run shows beside its recalls: a picture of what the last evaluation retrieved.

        Returns:
            {"retrieval_sheet": its path}.
        """
        path = output_dir / "retrieval.png"
        draw_composition_sheet(*self.evaluated, path)
        return {"retrieval_sheet": str(path)}

    def format(self, results: dict) -> str:
        """Results as a table for people."""
        return composition_table(results)


def _unit_length(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
