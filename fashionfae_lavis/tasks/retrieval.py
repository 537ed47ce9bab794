"""Cross-modal retrieval: fine-tuning, pre-training of LAVIS's models, and evaluation."""

from collections.abc import Mapping
from typing import Any

from lavis.common.dist_utils import get_rank
from lavis.common.registry import registry
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset
from fashionfae_lavis.datasets.protocols import ProductSplit, TrainingSplit
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.retrieval import RetrievalResult, evaluate_retrieval
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.tasks.base import FashionTask
from fashionfae_lavis.text.views import ViewSampler


def require_embeddings(adapter: Adapter, arch: str) -> None:
    """Raises UserError if the model, `model.arch`, does not embed images and texts."""
    if not adapter.embeds:
        raise UserError(
            f"model.arch: {arch} has no embeddings of images and texts to retrieve with: set it to a retrieval or "
            "pre-training model."
        )


class RetrievalEvaluation(FashionTask):
    """Base task that evaluates by image-to-text and text-to-image recall on a split with one item per image.

    With `run.grad_cache`, ITC contrasts all products of an update, see objectives/gradient_cache.py.
    `run.candidates` names a file of candidate lists for the sub-test (evaluation/candidates_file.py). Null draws the
    same lists. `run.k_test` is the number of full-test candidates that the ITM head re-ranks, as in LAVIS (default 0).

    Raises:
        UserError: `run.k_test` is not a non-negative integer.
    """

    contrasts = True
    split_protocol = ProductSplit
    train_protocol = TrainingSplit
    evaluation_kind = "retrieval"

    def __init__(self, run: Mapping[str, Any]):
        super().__init__(run)
        self.k_test = run.get("k_test") or 0
        if not isinstance(self.k_test, int) or self.k_test < 0:
            raise UserError(f"run.k_test is {self.k_test}, but must be a number of candidates, or 0 for no re-ranking.")

    def build_datasets(self, cfg: Any) -> dict[str, dict[str, Any]]:
        """Builds the datasets; raises UserError if no product of a split has a text."""
        datasets = super().build_datasets(cfg)
        for name, splits in datasets.items():
            for split, dataset in splits.items():
                if isinstance(dataset, ProductDataset | ProductEvalDataset) and not _has_text(dataset):
                    raise UserError(
                        f"run.task: {cfg.run_cfg.task} matches images with texts, but no product of {name}.{split} has "
                        "a title, a description or an attribute: give the products texts, or sort the photographs into "
                        "class folders."
                    )
        return datasets

    def check_model(self, adapter: Adapter, arch: str) -> None:
        require_embeddings(adapter, arch)
        if self.k_test and not adapter.matches:
            raise UserError(
                f"run.k_test: the model {arch} has no ITM head to re-rank with: set model.arch to fashionfae, or to a "
                "BLIP or ALBEF that has one, or set run.k_test to 0."
            )

        if self.run.get("grad_cache") and not adapter.contrasts:
            raise UserError(
                f"run.grad_cache is true, but the loss of {arch} needs more than the embeddings: set it to false, or "
                "model.arch to fashionfae, fashionfae_retrieval or fashion_clip."
            )

    def build_model(self, cfg: Any) -> Any:
        model = super().build_model(cfg)
        if self.run.get("grad_cache") and not self.run.get("evaluate"):
            adapt(model).embed_in_chunks(int(self.run["batch_size_train"]))
        return model

    def joins_batches(self, iteration: int) -> bool:
        """Returns whether the batches of this update are one batch to the model."""
        return bool(self.run.get("grad_cache"))

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the model's losses on one batch.

        LAVIS's retrieval models treat rows with the same `image_id` as positives, so it is set to the product id.
        """
        return super().train_step(model, {**samples, "image_id": samples["product_id"]})

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> RetrievalResult:
        return evaluate_retrieval(adapt(model), data_loader, self.run.get("candidates"), self.k_test)


def _has_text(dataset: ProductDataset | ProductEvalDataset) -> bool:
    return any(any(dataset.product_fields(i).values()) for i in range(len(dataset.product_ids)))


@registry.register_task("fashion_retrieval")
class FashionRetrievalTask(RetrievalEvaluation):
    """Task that fine-tunes a checkpoint by ITC and evaluates by retrieval."""

    starts_from_checkpoint = True

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes ITC alone, even for FashionFAE's pre-training model; LAVIS's models compute their own losses."""
        return super().train_step(model, {**samples, "objectives": ["itc"]})


class ViewTraining(RetrievalEvaluation):
    """Base task of pre-training, which may draw views of the texts.

    `run.texts` gives the share of each kind of view (text/views.py). Null keeps the texts of the dataset.
    """

    def __init__(self, run: Mapping[str, Any]):
        super().__init__(run)
        self.seed = int(run.get("seed", 42))
        self.views = ViewSampler(run["texts"], self.seed) if run.get("texts") else None

    def with_views(self, samples: dict[str, Any], iteration: int, rank: int, micro_step: int) -> dict[str, Any]:
        """Replaces the texts of a batch by views, which depend only on seed, rank and iteration."""
        if self.views is None:
            return samples
        views = self.views.draw(samples["fields"], iteration, rank, micro_step)
        fields, texts = zip(*views, strict=True)
        return {**samples, "fields": list(fields), "text_input": list(texts)}


@registry.register_task("fashion_pretrain")
class FashionPretrainTask(ViewTraining):
    """Task that trains BLIP, ALBEF or CLIP by its own losses and evaluates by retrieval."""

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        samples = self.with_views(samples, samples["iters"], get_rank(), samples["micro_step"])
        return super().train_step(model, samples)
