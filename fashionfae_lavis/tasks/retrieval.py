"""Cross-modal retrieval on fashion data: full test and sub-test, in both text modes (METHOD 5)."""

from pathlib import Path

import numpy as np
from lavis.common.registry import registry
from lavis.tasks.base_task import BaseTask

from fashionfae_lavis.masking.product_text import TEXT_MODES, fashion_text
from fashionfae_lavis.metrics.retrieval import full_test, sub_test
from fashionfae_lavis.models.features import global_embeddings
from fashionfae_lavis.reports.retrieval_sheet import draw_retrieval_sheet
from fashionfae_lavis.reports.tables import grounding_table, retrieval_table
from fashionfae_lavis.runners.data_order import share_of_loader
from fashionfae_lavis.runners.distributed import gather_in_order, own_share

BATCH = 64


def embed_images(model, data_loader) -> np.ndarray:
    """Unit-length global embeddings (N, D) of a data loader's images, in its order; the processes share the work."""
    batches = share_of_loader(data_loader)
    return gather_in_order([global_embeddings(model, image=batch["image"]).cpu().numpy() for batch in batches])


def embed_texts(model, texts: list[str]) -> np.ndarray:
    """Unit-length global embeddings (M, D) of texts; the processes share the work."""
    # Texts of similar length share a batch, so that little is padded.
    order = np.argsort([len(text) for text in texts], kind="stable")
    share = own_share(order)
    batches = []
    for start in range(0, len(share), BATCH):
        batch = [texts[i] for i in share[start : start + BATCH]]
        batches.append(global_embeddings(model, text_input=batch).cpu().numpy())
    return gather_in_order(batches)[np.argsort(order)]


@registry.register_task("fashion_retrieval")
class FashionRetrievalTask(BaseTask):
    """Image-to-text and text-to-image recall on a split with one item per image and one text per product."""

    def __init__(self, run_cfg):
        super().__init__()
        self.run_cfg = run_cfg
        self.evaluated = None  # data set and embeddings of the last evaluation

    @classmethod
    def setup_task(cls, cfg):
        return cls(cfg.run_cfg)

    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> dict:
        """Recalls in percent.

        Returns:
            {"<text mode>": {"full": {...}, "sub": {...}}, ..., "chance": R@1 of chance on the full test,
            "agg_metrics": mean recall of the full test with description and attributes}.
        """
        dataset = data_loader.dataset
        images = embed_images(model, data_loader)
        products = np.arange(len(dataset.product_ids))
        results = {}
        for mode in TEXT_MODES:  # the report shows the last of them
            texts = embed_texts(model, [fashion_text(dataset.product_fields(i), mode) for i in products])
            results[mode] = {
                "full": full_test(images, texts, dataset.row_product, products),
                "sub": sub_test(
                    images,
                    texts,
                    dataset.row_product,
                    products,
                    dataset.subcategory[dataset.row_product],
                    dataset.subcategory,
                ),
            }
        # A text is right for one product in M; so is, for a text, the product of the image ranked first.
        results["chance"] = 100.0 / len(products)
        results["agg_metrics"] = results[TEXT_MODES[-1]]["full"]["mean"]
        self.evaluated = dataset, images, texts
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
