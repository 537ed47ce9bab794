"""Captioning: BLIP writes a product's description, FashionFAE completes its attributes; scored on the same images."""

import json

import numpy as np
import torch
from lavis.common.dist_utils import main_process
from lavis.common.registry import registry
from lavis.tasks.captioning import CaptionTask

from fashionfae_lavis.distributed import own_share
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_questions import attribute_values, prompt
from fashionfae_lavis.evaluation.embedding import first_images
from fashionfae_lavis.evaluation.grounding import spread_products
from fashionfae_lavis.metrics.captions import caption_scores
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.reports.tables import caption_table
from fashionfae_lavis.tasks.attribute_probe import score_values
from fashionfae_lavis.tasks.starting_point import build_from_checkpoint
from fashionfae_lavis.text.product_text import ATTRIBUTES, description_words


@torch.no_grad()
def complete_attributes(model: FashionFAE, images: torch.Tensor, values: dict[str, list[str]]) -> dict[str, list[str]]:
    """The value of each attribute that AETP finds likeliest behind its prompt, for images (B, 3, S, S).

    Each prompt stands alone: nothing but the image tells the value. `values` are what there is to choose from.
    """
    tokens = model.fusion_tokens(images.to(model.device))
    blank = [{}] * len(tokens), [set()] * len(tokens)
    return {
        name: [known[place] for place in score_values(model, tokens, *blank, name, known).argmax(1).tolist()]
        for name, known in values.items()
    }


@registry.register_task("fashion_captioning")
class FashionCaptioningTask(CaptionTask):
    """LAVIS's captioning, of the first image of up to `run.caption_products` products (default 500) of the split.

    A model that writes (`generate`, as blip_caption has it, with LAVIS's `run.num_beams`, `run.max_len` and
    `run.min_len`) is scored against title and description. FashionFAE, which does not, fills the masked prompts of the
    attributes, and is scored against the prompts with the product's own values: other references, other figures.
    """

    def __init__(self, products: int = 500, num_beams: int = 3, max_len: int = 40, min_len: int = 8):
        super().__init__(num_beams, max_len, min_len, evaluate=False)
        self.products = products
        self.references = {}  # image -> its text, of the last evaluation
        self.text = None

    @classmethod
    def setup_task(cls, cfg):
        run = cfg.run_cfg
        keys = {"products": "caption_products", "num_beams": "num_beams", "max_len": "max_len", "min_len": "min_len"}
        return cls(**{name: int(run[key]) for name, key in keys.items() if key in run})

    def build_model(self, cfg):
        """From the checkpoint in `model.pretrained`; see starting_point.py, also for the errors.

        Raises:
            UserError: the model neither writes nor completes.
        """
        model = build_from_checkpoint(cfg, super().build_model)
        if not hasattr(model, "generate") and not isinstance(model, FashionFAE):
            raise UserError(
                f"model.arch: {cfg.model_cfg.arch} writes no captions: set it to fashion_blip_caption or blip_caption, "
                "or to fashionfae, which completes attributes."
            )
        return model

    def evaluation(self, model, data_loader, cuda_enabled: bool = False) -> list[dict]:
        """LAVIS's list of {"caption", "image_id"}, of this process's share of the images."""
        dataset = data_loader.dataset
        products = spread_products(dataset, self.products)
        rows = np.unique(dataset.row_product, return_index=True)[1][products]
        completes = isinstance(model, FashionFAE)
        self.text = "attributes" if completes else "title and description"
        values = {name: column for name, column in attribute_values(dataset).items() if name in ATTRIBUTES}
        known = {name: sorted(set(column) - {""}) for name, column in values.items()} if completes else {}
        known = {name: column for name, column in known.items() if column}

        def sentence(product: int, found: dict[str, str]) -> str:
            return " ".join(prompt(name, found[name]) for name in known if values[name][product])

        self.references = {}
        for row, product in zip(rows.tolist(), products, strict=True):
            own = {name: values[name][product] for name in known}
            words = " ".join(description_words(dataset.product_fields(product)))
            self.references[row] = sentence(product, own) if completes else words
        results, share = [], own_share(products)
        for samples in first_images(data_loader, share):
            batch, share = np.split(share, [len(samples["image"])])
            if completes:
                found = complete_attributes(model, samples["image"], known)
                captions = [
                    sentence(product, {name: column[place] for name, column in found.items()})
                    for place, product in enumerate(batch)
                ]
            else:
                lengths = {"num_beams": self.num_beams, "max_length": self.max_len, "min_length": self.min_len}
                captions = model.generate({"image": samples["image"].to(model.device)}, **lengths)
            pairs = zip(captions, samples["image_id"].tolist(), strict=True)
            results += [{"caption": caption, "image_id": image} for caption, image in pairs]
        return results

    @main_process
    def _report_metrics(self, eval_result_file: str, split_name: str) -> dict:
        """Scores of the captions, and as a control those of the same captions given to other images.

        Returns:
            "text" (what was asked for), "images", "scores", "other_image" (the control), "left_out" (name -> why), and
            "agg_metrics", CIDEr + BLEU-4 as in LAVIS.
        """
        with open(eval_result_file) as file:
            captions = {entry["image_id"]: entry["caption"] for entry in json.load(file)}
        references = {image: [text] for image, text in self.references.items()}
        scores, left_out = caption_scores(captions, references)
        images = sorted(captions)
        other = {image: captions[images[place - 1]] for place, image in enumerate(images)}
        return {
            "text": self.text,
            "images": len(images),
            "scores": scores,
            "other_image": caption_scores(other, references)[0],
            "left_out": left_out,
            "agg_metrics": scores["CIDEr"] + scores["Bleu_4"],
        }

    def format(self, results: dict) -> str:
        """The table for people."""
        return caption_table(results)
