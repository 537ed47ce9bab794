"""Computation of the entries of a golden file, with the methods and losses that training uses.

Forward hooks record the states inside the network, so that every forward pass runs once.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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

Calls = dict[str, list[tuple[Any, Any]]]


class GoldenModels:
    """The four models at the paper's size, with weights from the manifest, loaded like an imported checkpoint."""

    def __init__(self, manifest: dict[str, Any], seed: int):
        weights = golden_weights(manifest, seed)
        cfg = OmegaConf.load(FashionFAE.PRETRAINED_MODEL_CONFIG_DICT["base"]).model
        words = len(weights["model.bert.embeddings.word_embeddings.weight"])
        self.pretraining = FashionFAE.build(cfg, None, words).eval()
        # All four models share one copy of the encoders.
        shared = (self.pretraining.image_encoder, self.pretraining.fusion_encoder, None, cfg.max_length)
        self.contrastive = FashionRetrieval(*shared).eval()
        self.composition = FashionComposition(*shared).eval()
        self.classification = FashionRecognition(*shared).eval()
        for kind, model in (
            ("contrastive", self.contrastive),
            ("composition", self.composition),
            ("classification", self.classification),
            ("pretraining", self.pretraining),
        ):
            state = weights_of(weights, manifest, kind)
            check(state, authors_state(model.state_dict(), kind), kind, "The recipe's state dict")
            load_weights(model, our_state(state, kind), "The recipe's state dict")


@contextmanager
def recording(model: FashionFAE) -> Iterator[Calls]:
    """Yields a dict that records (arguments, output) of every call of a part of the model within the block."""
    calls: Calls = defaultdict(list)
    bert = model.fusion_encoder
    parts = {
        "lower": bert.encoder.layer[bert.split - 1],
        "upper": bert.encoder.layer[bert.split],
        "last": bert.encoder.layer[-1],
        "visual_embeddings": bert.visual_embeddings,
        "pooler": bert.pooler,
        "promotion": model.promotion,
    }
    handles = [
        part.register_forward_hook(lambda _, args, output, name=name: calls[name].append((args, output)))
        for name, part in parts.items()
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


class GoldenRun:
    """Computes all families of entries whose inputs are in the file.

    Args:
        golden: the file's arrays. Only the inputs and the top-5 indices of logits are read.
        models: the models with the weights of `seed`.
        manifest: the manifest, which names the gradients.
        seed: seed of the images.
    """

    def __init__(self, golden: Mapping[str, NDArray], models: GoldenModels, manifest: dict[str, Any], seed: int):
        self.golden, self.models, self.model, self.seed = golden, models, models.pretraining, seed
        self.grad_keys = manifest["grad_keys"]
        self.entries: dict[str, NDArray] = {}
        self.batch, self.length = golden["in.input_ids"].shape
        segments = self.tensor("in.segment_ids") if "in.segment_ids" in golden else None
        self.text = Text(self.tensor("in.input_ids"), self.tensor("in.input_mask"), segments)
        self.images, self.second_view = self.make_images("images"), self.make_images("images_dv")
        encode, pool = self.model.image_encoder, self.model.image_encoder.pool_tokens
        self.tokens, self.second_tokens = encode(self.images), encode(self.second_view)
        self.pooled, self.second_pooled = pool(self.tokens), pool(self.second_tokens)

    def run(self) -> dict[str, NDArray]:
        """Computes and returns the entries."""
        self.add_sequence("enc.y", self.pooled, torch.ones(self.pooled.shape[:2]))
        self.add_sequence("enc.image_itc", self.tokens, torch.ones(self.tokens.shape[:2]))
        for name, value in (("y", self.pooled), ("image_itc", self.tokens)):
            self.add(f"enc.{name}_mean_std", _mean_std(value))
        for compute, inputs in (
            (self.contrastive, ()),
            (self.matching, ("itm.targets",)),
            (self.matching_hard_texts, ("itm.hard_replaced", "itm.hard_text_index")),
            (self.words, ("in.input_ids_masked", "in.lm_label_ids")),
            (self.patches, ("in.image_masks",)),
            (self.downstream, ()),
        ):
            if all(name in self.golden for name in inputs):
                compute()
        return self.entries

    def contrastive(self) -> None:
        model = self.model
        with recording(model) as calls:
            text = model.text_embedding(self.text)
        self.add_sequence("text.states3", calls["lower"][0][1][0], self.text.mask)
        self.add_sequence("text.final", calls["last"][0][1][0], self.text.mask, meanpool=False)
        image, second_view = model.image_embedding(self.tokens), model.image_embedding(self.second_tokens)
        self.add("itc.visual_embeddings", image)
        self.add("itc.text_embeddings", text)
        self.add("itc.visual_embeddings_dv", second_view)
        self.add("itc.loss_two_views", itc_loss(image, text, second_view).loss)
        loss = contrastive_loss(image, text)
        self.add("itc.loss", loss)
        self.add_gradients("itc", loss)
        hardest, _ = hardest_text((image @ text.T).detach(), torch.arange(self.batch))
        self.add("itm.hard_text_index", hardest)

    def matching(self) -> None:
        with torch.no_grad(), recording(self.model) as calls:
            logits = self.model.match_logits(self.pooled, self.text)
            joint = self.model.fusion_encoder.encode_joint(self.text, self.pooled)
        self.add("joint.text_slice", joint[:, :5, :16])
        self.add("joint.visual_slice", joint[:, self.length : self.length + 5, :16])
        self.add("itm.pooled", calls["pooler"][0][1])
        self.add("itm.logits", logits)
        self.add("itm.ce", itm_loss(logits, self.tensor("itm.targets")).loss)

    def matching_hard_texts(self) -> None:
        replaced = self.tensor("itm.hard_replaced").bool()
        match = (~replaced).long()
        # Use the file's hard texts, so that only `itm.hard_text_index` fails if the mining differs.
        rows = torch.where(replaced, self.tensor("itm.hard_text_index"), torch.arange(self.batch))
        logits = self.model.match_logits(self.pooled, self.text.rows(rows))
        loss = itm_loss(logits, match).loss
        self.add("itm.hard_targets", match)
        self.add("itm.hard_logits", logits)
        self.add("itm.hard_loss", loss)
        self.add_gradients("itm", loss)

    def words(self) -> None:
        labels = self.tensor("in.lm_label_ids")
        masked = self.text._replace(input_ids=self.tensor("in.input_ids_masked"))
        logits, joint, text = self.model.read_masked_text(self.pooled, masked, labels)
        labelled = labels >= 0
        targets = labels[labelled]
        # The golden cross-entropy covers description and prompts together, so all labels count as description.
        output = text_prediction_loss(logits, targets, torch.zeros_like(targets, dtype=torch.bool), joint, text)
        self.add("mlm.rows_cols", labelled.nonzero())
        self.add("mlm.labels", targets)
        self.add_logits("mlm", logits, targets)
        self.add("mlm.global_embeddings", joint)
        self.add("mlm.text_embeddings", text)
        self.add("mlm.ce", output.loss_mlm)
        self.add("mlm.global_contrastive", output.loss_text_consistency)
        self.add("mlm.loss", output.loss)
        self.add_gradients("mlm", output.loss)

    def patches(self) -> None:
        mask = self.tensor("in.image_masks").bool()
        codes = self.codes()[mask]
        with recording(self.model) as calls:
            logits, clean, reconstructed = self.model.read_masked_image(self.pooled, self.text, mask)
        output = apir_loss(logits, codes, clean, reconstructed)
        (text_cls, visual_cls), fused = calls["promotion"][0]
        self.add("apir.text_cls", text_cls)
        self.add("apir.visual_cls", visual_cls)
        self.add("apir.fused_cls", fused)
        self.add("apir.masked_image_slice", calls["visual_embeddings"][0][0][0][:, :8, :16])
        bert, (encoder_in, encoder_mask, *_) = self.model.fusion_encoder, calls["upper"][0][0]
        with torch.no_grad():
            joint = bert.run_layers(encoder_in, encoder_mask[:, 0, 0], first=bert.split)
        for name, states in (("encoder_in", encoder_in), ("joint", joint)):
            self.add(f"apir.{name}_text_slice", states[:, :5, :16])
            self.add(f"apir.{name}_visual_slice", states[:, self.length : self.length + 5, :16])
        self.add("apir.joint_patch_meanpool", joint[:, -mask.shape[1] :].mean(1))
        self.add("apir.target_masked", codes)
        self.add_logits("apir", logits, codes)
        self.add("apir.visual_embeddings", clean)
        self.add("apir.global_embeddings", reconstructed)
        self.add("apir.ce", output.loss_apir)
        self.add("apir.global_contrastive", output.loss_image_consistency)
        self.add("apir.loss", output.loss)
        self.add_gradients("mpfc", output.loss)

    @torch.no_grad()
    def codes(self) -> Tensor:
        """Returns the image tokenizer's codes (B, 49) and adds the entries of the tokenizer."""
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
            # If two codes are equally near up to rounding, either is correct.
            golden_second = self.tensor("apir.vq_second")
            farther = distance.gather(2, golden_second[..., None])[..., 0] - nearest.values[..., 1]
            second = torch.where(farther.abs() < 5e-5, golden_second, second)
        self.add("apir.vq_second", second)
        return codes

    @torch.no_grad()
    def downstream(self) -> None:
        query = self.models.composition.query_embedding(self.pooled, self.text)
        target = self.models.composition.target_embedding(self.second_pooled)
        self.add("comp.query", query)
        self.add("comp.target", target)
        self.add("comp.bbc_loss", one_way_loss(query, target))
        self.add("cls.logits", self.models.classification.logits(self.pooled, self.text))
        retrieval = self.models.contrastive
        image, text = retrieval.image_embedding(self.tokens), retrieval.text_embedding(self.text)
        self.add("con.loss", itc_loss(image, text).loss)

    def tensor(self, name: str) -> Tensor:
        """Returns an input as an integer tensor; all inputs are integers."""
        return torch.from_numpy(self.golden[name]).long()

    def make_images(self, tag: str) -> Tensor:
        images = golden_images(tag, self.batch, self.seed)
        self.add(f"in.{tag}_crc32", zlib.crc32(images.tobytes()))
        self.add(f"in.{tag}_mean_std", _mean_std(torch.from_numpy(images)))
        self.add(f"in.{tag}_head", images.ravel()[:8])
        return torch.from_numpy(images)

    def add(self, name: str, value: Tensor | NDArray | int) -> None:
        self.entries[name] = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)

    def add_sequence(self, name: str, states: Tensor, mask: Tensor, meanpool: bool = True) -> None:
        self.add(f"{name}_slice", states[:, :5, :16])
        if meanpool:
            self.add(f"{name}_meanpool", self.model.fusion_encoder.masked_mean(states, mask))

    def add_logits(self, name: str, logits: Tensor, labels: Tensor) -> None:
        """Adds what the file keeps of logits (P, V) with labels (P,)."""
        self.add(f"{name}.top5_val", logits.topk(5).values)
        if f"{name}.top5_idx" in self.golden:
            # Take the logits at the golden indices, because the order of nearly equal logits is arbitrary.
            self.add(f"{name}.top5_idx", logits.gather(1, self.tensor(f"{name}.top5_idx")))
        self.add(f"{name}.label_logit", logits.gather(1, labels[:, None])[:, 0])
        self.add(f"{name}.logsumexp", logits.logsumexp(1))
        self.add(f"{name}.logits_slice", logits[:, :16])

    def add_gradients(self, name: str, loss: Tensor) -> None:
        """Adds the gradient norm of each trainable parameter under the authors' names; NaN where there is none."""
        if f"grad.norm_{name}" not in self.golden:
            return
        trained = {key: parameter for key, parameter in self.model.named_parameters() if parameter.requires_grad}
        # Keep the graph, because the four losses share the image encoder's part of it.
        found = torch.autograd.grad(loss, list(trained.values()), retain_graph=True, allow_unused=True)
        gradients = {
            key: torch.full_like(parameter, torch.nan) if gradient is None else gradient
            for (key, parameter), gradient in zip(trained.items(), found, strict=True)
        }
        renamed = authors_state(gradients, "pretraining")
        renamed |= {key: torch.tensor(torch.nan) for key in KINDS["pretraining"].unread}
        self.add(f"grad.norm_{name}", np.array([renamed[key].double().norm().item() for key in self.grad_keys]))


def _mean_std(values: Tensor) -> NDArray:
    array = values.detach().numpy().astype(np.float64)
    return np.array([array.mean(), array.std()])
