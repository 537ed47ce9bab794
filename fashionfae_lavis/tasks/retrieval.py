"""Cross-modal retrieval on fashion data: full test and sub-test, in both text modes (METHOD 5)."""

from pathlib import Path

import numpy as np
from lavis.common.registry import registry
from lavis.models.clip_models.model import CLIP
from lavis.tasks.base_task import BaseTask
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.candidates_file import candidate_lists, lists_digest
from fashionfae_lavis.evaluation.embedding import embed_batches, embed_text_list
from fashionfae_lavis.evaluation.reranking import rerank
from fashionfae_lavis.metrics.retrieval import full_ranks, recalls, sub_test_of
from fashionfae_lavis.models.baselines.clip import set_loss
from fashionfae_lavis.models.features import global_embeddings, has_embeddings
from fashionfae_lavis.models.matching import has_matching
from fashionfae_lavis.reports.retrieval_sheet import draw_retrieval_sheet
from fashionfae_lavis.reports.tables import grounding_table, retrieval_table
from fashionfae_lavis.tasks.starting_point import build_from_checkpoint
from fashionfae_lavis.text.product_text import TEXT_MODES, fashion_text


def embed_images(model, data_loader) -> np.ndarray:
    """Unit-length global embeddings (N, D) of a data loader's images, in its order; the processes share the work."""
    return embed_batches(data_loader, lambda samples: global_embeddings(model, image=samples["image"]))


def embed_texts(model, texts: list[str]) -> np.ndarray:
    """Unit-length global embeddings (M, D) of texts; the processes share the work."""
    return embed_text_list(texts, lambda batch: global_embeddings(model, text_input=batch))


class RetrievalEvaluation(BaseTask):
    """Image-to-text and text-to-image recall on a split with one item per image and one text per product.

    Of the run's settings it takes `run.candidates`, a file of the sub-test's lists (see candidates_file.py; null draws
    them anew, to the same result), and `run.k_test`, as in LAVIS: how many candidates of the full test the ITM head
    re-ranks (default 0, none). Raises UserError for a `run.k_test` that is no such number.
    """

    def __init__(self, run_cfg):
        super().__init__()
        self.run_cfg = run_cfg
        self.k_test = run_cfg.get("k_test") or 0
        if not isinstance(self.k_test, int) or self.k_test < 0:
            raise UserError(f"run.k_test is {self.k_test}, but must be a number of candidates, or 0 for no re-ranking.")
        self.evaluated = None  # data set and embeddings of the last evaluation

    @classmethod
    def setup_task(cls, cfg):
        return cls(cfg.run_cfg)

    def build_model(self, cfg):
        """As BaseTask; UserError where embeddings or the ITM head are asked for and there are none."""
        model = super().build_model(cfg)
        if not has_embeddings(model):
            raise UserError(
                f"model.arch: {cfg.model_cfg.arch} has no embeddings of images and texts to retrieve with: set it to "
                "a model of retrieval or pre-training."
            )
        if self.k_test and not has_matching(model):
            raise UserError(
                f"run.k_test: the model {cfg.model_cfg.arch} has no ITM head to re-rank with: set model.arch to "
                "fashionfae, or to a BLIP or ALBEF that has one, or run.k_test to 0."
            )
        if isinstance(model, CLIP):
            set_loss(model)
        return model

    def train_step(self, model, samples: dict) -> dict[str, Tensor]:
        """The model's own losses of one batch.

        LAVIS's retrieval models take rows of the same `image_id` for each other's positives: here the product's.
        """
        output = model({**samples, "image_id": samples["product_id"]})
        return {name: value for name, value in output.items() if name.startswith(("loss", "acc"))}

    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> dict:
        """Recalls in percent; the processes share the work, and each returns all.

        Returns:
            {"<text mode>": {"full": {...}, "sub": {...}}, ..., "chance": R@1 of chance on the full test,
            "sub_test_lists": digest of the sub-test's lists, "agg_metrics": mean recall of the full test with
            description and attributes}. With `run.k_test`, description and attributes also have "reranked": {...,
            "k_test": candidates re-ranked}, the full test after it.
        """
        dataset = data_loader.dataset
        draws = candidate_lists(dataset, self.run_cfg.get("candidates"))
        products = np.arange(len(dataset.product_ids))
        sides = dataset.row_product, products
        images = embed_images(model, data_loader)
        results = {}
        for mode in TEXT_MODES:  # the report shows the last of them, and it is re-ranked
            texts = [fashion_text(dataset.product_fields(i), mode) for i in products]
            embeds = images, embed_texts(model, texts)
            ranks = full_ranks(*embeds, *sides)
            results[mode] = {"full": recalls(*ranks), "sub": sub_test_of(*embeds, draws)}
        if self.k_test:
            ranks = rerank(model, data_loader, texts, embeds, sides, ranks, self.k_test)
            results[mode]["reranked"] = {**recalls(*ranks), "k_test": self.k_test}
        # A text is right for one product in M; so is, for a text, the product of the image ranked first.
        results["chance"] = 100.0 / len(products)
        results["sub_test_lists"] = lists_digest(draws)
        results["agg_metrics"] = results[mode]["full"]["mean"]
        self.evaluated = dataset, *embeds
        return results

    def after_evaluation(self, val_result, split_name, epoch, **kwargs) -> dict:
        return val_result

    def report(self, model, output_dir: Path) -> dict:
        """What the end of a run shows beside its recalls: a picture of what the last evaluation retrieved.

        Returns:
            {"retrieval_sheet": its path}.
        """
        path = output_dir / "retrieval.png"
        draw_retrieval_sheet(*self.evaluated, path)
        return {"retrieval_sheet": str(path)}

    def format(self, results: dict) -> str:
        """Results and report as tables for people."""
        return "\n\n".join(filter(None, (retrieval_table(results), grounding_table(results))))


@registry.register_task("fashion_retrieval")
class FashionRetrievalTask(RetrievalEvaluation):
    """Fine-tuning by ITC (METHOD 4, retrieval) from a checkpoint, and evaluation by retrieval."""

    def build_model(self, cfg):
        """From the checkpoint in `model.pretrained`; see starting_point.py, also for the errors."""
        return build_from_checkpoint(cfg, super().build_model)

    def train_step(self, model, samples: dict) -> dict[str, Tensor]:
        """ITC of one batch, also of FashionFAE's pre-training model, which has other losses; LAVIS's train theirs."""
        return super().train_step(model, {**samples, "objectives": ["itc"]})


@registry.register_task("fashion_pretrain")
class FashionPretrainTask(RetrievalEvaluation):
    """Trains a model of LAVIS (BLIP, ALBEF, CLIP) by its own losses, from its own start; evaluates by retrieval."""
