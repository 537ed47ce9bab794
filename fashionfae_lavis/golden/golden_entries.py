"""Our values of the entries of a golden file, computed by the very functions that training uses.

What those functions keep inside is recorded on the way, by hooks, so that every forward pass is done once.
"""

import zlib
from collections import defaultdict
from contextlib import contextmanager

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from fashionfae_lavis.checkpoints import load_weights
from fashionfae_lavis.golden.golden_weights import golden_images, golden_weights, weights_of
from fashionfae_lavis.models import FashionComposition, FashionFAE, FashionRecognition, FashionRetrieval
from fashionfae_lavis.models.authors_layout import KINDS, authors_state, check, our_state
from fashionfae_lavis.objectives.apir import apir_loss
from fashionfae_lavis.objectives.itc import contrastive_loss, itc_loss, one_way_loss
from fashionfae_lavis.objectives.itm import hardest_text, itm_loss
from fashionfae_lavis.objectives.text_prediction import text_prediction_loss
from fashionfae_lavis.text.word_pieces import Text


class GoldenModels:
    """The four models at the paper's size with weights by the recipe, brought in through the import of checkpoints."""

    def __init__(self, manifest: dict, seed: int):
        weights = golden_weights(manifest, seed)
        cfg = OmegaConf.load(FashionFAE.PRETRAINED_MODEL_CONFIG_DICT["base"]).model
        words = len(weights["model.bert.embeddings.word_embeddings.weight"])
        self.pretraining = FashionFAE.build(cfg, None, words).eval()
        # The encoders are the same in all four: they are kept once.
        shared = (self.pretraining.image_encoder, self.pretraining.fusion_encoder, None, cfg.max_length)
        self.contrastive = FashionRetrieval(*shared).eval()
        self.composition = FashionComposition(*shared).eval()
        self.classification = FashionRecognition(*shared).eval()
        for kind in ("contrastive", "composition", "classification", "pretraining"):
            model, state = getattr(self, kind), weights_of(weights, manifest, kind)
            check(state, authors_state(model.state_dict(), kind), kind, "The recipe's state dict")
            load_weights(model, our_state(state, kind), "The recipe's state dict")


@contextmanager
def recording(model: FashionFAE):
    """Yield name -> list of (arguments, output), one for each call of a part of the model within the block."""
    seen, bert = defaultdict(list), model.fusion_encoder
    parts = {
        "lower": bert.encoder.layer[bert.split - 1],
        "upper": bert.encoder.layer[bert.split],
        "last": bert.encoder.layer[-1],
        "visual_embeddings": bert.visual_embeddings,
        "pooler": bert.pooler,
        "mlm_head": model.mlm_head,
        "promotion": model.promotion,
        "apir_head": model.apir_head,
        "image_encoder": model.image_encoder,
    }
    handles = [
        part.register_forward_hook(lambda _, args, output, name=name: seen[name].append((args, output)))
        for name, part in parts.items()
    ]
    scaled = model.scaled

    def recorded_scaled(embedding):
        seen["scaled"].append(((embedding,), scaled(embedding)))
        return seen["scaled"][-1][1]

    model.scaled = recorded_scaled
    try:
        yield seen
    finally:
        del model.scaled
        for handle in handles:
            handle.remove()


# What each method of GoldenRun reads beside the texts and the images.
FAMILIES = {
    "contrastive": (),
    "matching": ("itm.targets",),
    "matching_hard_texts": ("itm.hard_replaced", "itm.hard_text_index"),
    "words": ("in.input_ids_masked", "in.lm_label_ids"),
    "patches": ("in.image_masks",),
    "downstream": (),
}


class GoldenRun:
    """One pass over all families whose inputs are there; `entries` (name -> array) are ours.

    Args:
        golden: name -> array, of which the inputs are read, and the top-5 indices: where to look up our logits.
        models: with the weights of `seed`.
        manifest: for the names of the gradients.
    """

    def __init__(self, golden: dict, models: GoldenModels, manifest: dict, seed: int):
        self.golden, self.models, self.model, self.seed = golden, models, models.pretraining, seed
        self.grad_keys = manifest["grad_keys"]
        self.entries: dict[str, np.ndarray] = {}
        self.batch, self.length = golden["in.input_ids"].shape
        segments = self.tensor("in.segment_ids") if "in.segment_ids" in golden else None
        self.text = Text(self.tensor("in.input_ids"), self.tensor("in.input_mask"), segments)
        self.images = self.make_images("images")
        self.second = self.make_images("images_dv")

    def run(self) -> dict[str, np.ndarray]:
        """Compute every family and return the entries."""
        self.tokens = self.model.image_encoder(self.images)
        self.pooled = self.model.image_encoder.pool_tokens(self.tokens)
        self.add_sequence("enc.y", self.pooled, torch.ones(self.pooled.shape[:2]))
        self.add_sequence("enc.image_itc", self.tokens, torch.ones(self.tokens.shape[:2]))
        for name, value in (("y", self.pooled), ("image_itc", self.tokens)):
            self.add(f"enc.{name}_mean_std", _mean_std(value))
        for family, needed in FAMILIES.items():
            if all(name in self.golden for name in needed):
                getattr(self, family)()
        return self.entries

    def contrastive(self) -> None:
        with recording(self.model) as seen:
            output = itc_loss(self.model, self.tokens, self.text, self.second)
        self.add_sequence("text.states3", seen["lower"][0][1][0], self.text.mask)
        self.add_sequence("text.final", seen["last"][0][1][0], self.text.mask, meanpool=False)
        text, image, image_dv = (scaled for _, scaled in seen["scaled"])
        self.second_tokens = seen["image_encoder"][0][1].detach()
        self.add("itc.visual_embeddings", image)
        self.add("itc.text_embeddings", text)
        self.add("itc.visual_embeddings_dv", image_dv)
        self.add("itc.loss_two_views", output["loss_itc"])
        loss = contrastive_loss(image, text)
        self.add("itc.loss", loss)
        self.add_gradients("itc", loss)
        hardest, _ = hardest_text((image @ text.T).detach(), torch.arange(self.batch))
        self.add("itm.hard_text_index", hardest)

    def matching(self) -> None:
        with torch.no_grad(), recording(self.model) as seen:
            loss, logits = itm_loss(self.model, self.pooled, self.text, self.tensor("itm.targets"))
        joint = seen["last"][0][1][0]
        self.add("joint.text_slice", joint[:, :5, :16])
        self.add("joint.visual_slice", joint[:, self.length : self.length + 5, :16])
        self.add("itm.pooled", seen["pooler"][0][1])
        self.add("itm.logits", logits)
        self.add("itm.ce", loss)

    def matching_hard_texts(self) -> None:
        replaced = self.tensor("itm.hard_replaced").bool()
        match = (~replaced).long()
        # Their texts, not ours: should the mining differ, its own entry says so and this one still compares.
        rows = torch.where(replaced, self.tensor("itm.hard_text_index"), torch.arange(self.batch))
        loss, logits = itm_loss(self.model, self.pooled, self.text.rows(rows), match)
        self.add("itm.hard_targets", match)
        self.add("itm.hard_logits", logits)
        self.add("itm.hard_loss", loss)
        self.add_gradients("itm", loss)

    def words(self) -> None:
        labels = self.tensor("in.lm_label_ids")
        masked = self.text._replace(input_ids=self.tensor("in.input_ids_masked"))
        with recording(self.model) as seen:
            # As if all labels were of the description: the golden cross-entropy is over both parts together.
            no_prompt = torch.zeros_like(labels, dtype=torch.bool)
            output = text_prediction_loss(self.model, self.pooled, masked, labels, no_prompt)
        places = labels >= 0
        self.add("mlm.rows_cols", places.nonzero())
        self.add("mlm.labels", labels[places])
        self.add_logits("mlm", seen["mlm_head"][0][1], labels[places])
        (_, joint), (_, text) = seen["scaled"]
        self.add("mlm.global_embeddings", joint)
        self.add("mlm.text_embeddings", text)
        self.add("mlm.ce", output["loss_mlm"])
        self.add("mlm.global_contrastive", output["loss_text_consistency"])
        self.add("mlm.loss", output["loss"])
        self.add_gradients("mlm", output["loss"])

    def patches(self) -> None:
        mask = self.tensor("in.image_masks").bool()
        codes = self.codes()
        with recording(self.model) as seen:
            output = apir_loss(self.model, self.pooled, self.text, codes, mask)
        (text_cls, visual_cls), fused = seen["promotion"][0]
        self.add("apir.text_cls", text_cls)
        self.add("apir.visual_cls", visual_cls)
        self.add("apir.fused_cls", fused)
        self.add("apir.masked_image_slice", seen["visual_embeddings"][0][0][0][:, :8, :16])
        for name, states in (("encoder_in", seen["upper"][0][0][0]), ("joint", seen["last"][0][1][0])):
            self.add(f"apir.{name}_text_slice", states[:, :5, :16])
            self.add(f"apir.{name}_visual_slice", states[:, self.length : self.length + 5, :16])
        self.add("apir.joint_patch_meanpool", states[:, -mask.shape[1] :].mean(1))
        self.add("apir.target_masked", codes[mask])
        self.add_logits("apir", seen["apir_head"][0][1], codes[mask])
        (_, clean), (_, reconstructed) = seen["scaled"]
        self.add("apir.visual_embeddings", clean)
        self.add("apir.global_embeddings", reconstructed)
        self.add("apir.ce", output["loss_apir"])
        self.add("apir.global_contrastive", output["loss_image_consistency"])
        self.add("apir.loss", output["loss"])
        self.add_gradients("mpfc", output["loss"])

    @torch.no_grad()
    def codes(self) -> Tensor:
        """Codes (B, 49) of the image tokenizer, with what leads to them."""
        tokenizer = self.model.image_tokenizer
        features = tokenizer.features(self.images).flatten(1, 2)
        codebook = tokenizer.quantize.embedding
        codes = codebook.nearest(features.flatten(0, 1)).view(self.batch, -1)
        self.add_sequence("apir.vq_z", features, torch.ones(features.shape[:2]))
        self.add("apir.vq_target", codes)
        self.add("apir.distinct_codes", codes.unique().numel())
        distance = torch.cdist(features.double(), codebook.weight.double()).square()
        nearest = distance.topk(2, largest=False)
        self.add("apir.vq_margin", nearest.values[..., 1] - nearest.values[..., 0])
        second = nearest.indices[..., 1]
        if "apir.vq_second" in self.golden:
            # Two runners-up that are as near as rounding tells: either is right.
            theirs = self.tensor("apir.vq_second")
            farther = distance.gather(2, theirs[..., None])[..., 0] - nearest.values[..., 1]
            second = torch.where(farther.abs() < 5e-5, theirs, second)
        self.add("apir.vq_second", second)
        return codes

    @torch.no_grad()
    def downstream(self) -> None:
        pooled_dv = self.model.image_encoder.pool_tokens(self.second_tokens)
        query = self.models.composition.query_embedding(self.pooled, self.text)
        target = self.models.composition.target_embedding(pooled_dv)
        self.add("comp.query", query)
        self.add("comp.target", target)
        self.add("comp.bbc_loss", one_way_loss(query, target))
        self.add("cls.logits", self.models.classification.logits(self.pooled, self.text))
        self.add("con.loss", itc_loss(self.models.contrastive, self.tokens, self.text)["loss_itc"])

    def tensor(self, name: str) -> Tensor:
        """An input; all are whole numbers."""
        return torch.from_numpy(self.golden[name]).long()

    def make_images(self, tag: str) -> Tensor:
        images = golden_images(tag, self.batch, self.seed)
        self.add(f"in.{tag}_crc32", zlib.crc32(images.tobytes()))
        self.add(f"in.{tag}_mean_std", _mean_std(torch.from_numpy(images)))
        self.add(f"in.{tag}_head", images.ravel()[:8])
        return torch.from_numpy(images)

    def add(self, name: str, value) -> None:
        self.entries[name] = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)

    def add_sequence(self, name: str, states: Tensor, mask: Tensor, meanpool: bool = True) -> None:
        self.add(f"{name}_slice", states[:, :5, :16])
        if meanpool:
            self.add(f"{name}_meanpool", self.model.fusion_encoder.masked_mean(states, mask))

    def add_logits(self, name: str, logits: Tensor, labels: Tensor) -> None:
        """Logits (P, V) and their labels (P,)."""
        self.add(f"{name}.top5_val", logits.topk(5).values)
        if f"{name}.top5_idx" in self.golden:
            # Our logits where theirs are the highest: an order of near-equal ones says nothing.
            self.add(f"{name}.top5_idx", logits.gather(1, self.tensor(f"{name}.top5_idx")))
        self.add(f"{name}.label_logit", logits.gather(1, labels[:, None])[:, 0])
        self.add(f"{name}.logsumexp", logits.logsumexp(1))
        self.add(f"{name}.logits_slice", logits[:, :16])

    def add_gradients(self, name: str, loss: Tensor) -> None:
        """Norm of the gradient of each trainable parameter under the authors' names; NaN where there is none."""
        if f"grad.norm_{name}" not in self.golden:
            return
        trained = {k: p for k, p in self.model.named_parameters() if p.requires_grad}
        # The pass through the image encoder is shared by the four losses.
        found = torch.autograd.grad(loss, list(trained.values()), retain_graph=True, allow_unused=True)
        ours = {
            key: torch.full_like(p, torch.nan) if grad is None else grad
            for (key, p), grad in zip(trained.items(), found, strict=True)
        }
        theirs = authors_state(ours, "pretraining")
        theirs |= {key: torch.tensor(torch.nan) for key in KINDS["pretraining"].unread}
        self.add(f"grad.norm_{name}", np.array([theirs[key].double().norm().item() for key in self.grad_keys]))


def _mean_std(values: Tensor) -> np.ndarray:
    values = values.detach().numpy().astype(np.float64)
    return np.array([values.mean(), values.std()])
