"""Replay of a trajectory of the authors' training: the same updates from the same weights, inputs and settings.

A trajectory file holds `kinds` (for each update itc, itm, mlm, or mpfc, the authors' name for APIR), `losses` (each
before its update) and, for each trained parameter in the authors' layout, `names`, `lr`, `weight_decay` and `change`,
the L2 norm of its change after all updates. Weights and inputs come from the golden file of the same seed.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.golden.golden_comparison import Row
from fashionfae_lavis.golden.golden_entries import GoldenModels
from fashionfae_lavis.golden.golden_weights import MANIFEST, golden_images, read_manifest
from fashionfae_lavis.models.authors_layout import KINDS, authors_state
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.objectives.apir import apir_loss
from fashionfae_lavis.objectives.itc import itc_loss
from fashionfae_lavis.objectives.itm import hardest_text, itm_loss
from fashionfae_lavis.objectives.text_prediction import text_prediction_loss
from fashionfae_lavis.runners.optimizers import build_optimizer
from fashionfae_lavis.text.word_pieces import Text

# The optimizer settings of the authors' recipe, as keys of `run`; docs/fidelity.md compares them with our recipe.
RECIPE = OmegaConf.create(
    {
        "optimizer": "transformers_adamw",
        "init_lr": 1e-5,
        "lr_scale": {
            "image_encoder": 20,
            "fusion_encoder.visual_embeddings.projection": 20,
            "itm_head": 20,
            "mlm_head": 20,
            "apir_head": 20,
        },
        "weight_decay": 1e-4,
        "decay_also": ["image_encoder", "scale", "promotion.layer_norm.weight"],
    }
)
LOSS = 2e-5  # absolute; the authors' own losses differ by 3.6e-6 between one thread and two
# In full steps (see `compare`). Gradients of key biases are zero in exact arithmetic, so these biases change only by
# rounding errors. The changes differ by up to twice their size, but by less than a hundredth of a full step.
CHANGE = 1e-2
Arrays = dict[str, NDArray[Any]]
NEEDED = ("in.input_ids", "in.input_mask", "in.segment_ids", "in.input_ids_masked", "in.lm_label_ids", "in.image_masks")


@dataclass(frozen=True)
class Replay:
    """Results of U updates by this package, in the order of a trajectory file with P parameters.

    Attributes:
        losses: (U,), each before its update.
        lr: (P,), learning rate; NaN where this package's model does not have the parameter.
        weight_decay: (P,), NaN likewise.
        change: (P,), L2 norm of the parameter's change, NaN likewise.
    """

    losses: NDArray[np.float64]
    lr: NDArray[np.float64]
    weight_decay: NDArray[np.float64]
    change: NDArray[np.float64]


class TrajectoryStep:
    """The loss of one update on the golden inputs; every update sees all rows.

    Args:
        inputs: arrays of a golden file, including `NEEDED`.
        model: the model in evaluation mode, because the authors' code ran without dropout.
        seed: seed of the images.
    """

    def __init__(self, inputs: Arrays, model: FashionFAE, seed: int):
        ids, mask, segments, masked_ids, labels, patches = (torch.from_numpy(inputs[name]).long() for name in NEEDED)
        self.model = model
        self.text, self.masked_text = Text(ids, mask, segments), Text(masked_ids, mask, segments)
        self.labels, self.patch_mask = labels, patches.bool()
        self.images = torch.from_numpy(golden_images("images", len(ids), seed))
        self.codes = model.image_tokenizer.encode(self.images)[self.patch_mask]

    def loss(self, kind: str) -> Tensor:
        """Computes the loss of one kind: itc, itm, mlm (masked words of both parts) or mpfc (APIR)."""
        tokens = self.model.image_encoder(self.images)
        pooled = self.model.image_encoder.pool_tokens(tokens)
        if kind == "itc":
            return itc_loss(self.model.image_embedding(tokens), self.model.text_embedding(self.text)).loss
        if kind == "itm":
            return self._itm(tokens, pooled)
        if kind == "mlm":
            logits, joint, clean = self.model.read_masked_text(pooled, self.masked_text, self.labels)
            targets = self.labels[self.labels >= 0]
            return text_prediction_loss(logits, targets, torch.zeros_like(targets, dtype=torch.bool), joint, clean).loss
        logits, clean, reconstructed = self.model.read_masked_image(pooled, self.text, self.patch_mask)
        return apir_loss(logits, self.codes, clean, reconstructed).loss

    def _itm(self, tokens: Tensor, pooled: Tensor) -> Tensor:
        """Computes the ITM loss; rows 0, 2, ... get their hardest text under the current weights."""
        rows = torch.arange(len(tokens))
        with torch.no_grad():
            similarity = self.model.image_embedding(tokens) @ self.model.text_embedding(self.text).T
        hardest, _ = hardest_text(similarity, rows)
        replaced = rows % 2 == 0
        logits = self.model.match_logits(pooled, self.text.rows(torch.where(replaced, hardest, rows)))
        return itm_loss(logits, (~replaced).long()).loss


def replay(trajectory: Arrays, step: TrajectoryStep) -> tuple[Replay, NDArray[np.float64]]:
    """Trains the model of `step` in place by the updates of a trajectory.

    Returns:
        The results of the updates, and the sizes (P,) of the file's parameters, NaN for parameters that this package's
        model does not have.
    """
    optimizer = build_optimizer(step.model, RECIPE)
    trained = {name: parameter for name, parameter in step.model.named_parameters() if parameter.requires_grad}
    start = {name: parameter.detach().clone() for name, parameter in trained.items()}
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    losses = []
    for kind in trajectory["kinds"]:
        loss = step.loss(str(kind))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    change = _renamed({name: parameter.detach() - start[name] for name, parameter in trained.items()})
    settings = {
        key: _renamed({name: _filled(p.shape, group_of[id(p)][key]) for name, p in trained.items()})
        for key in ("lr", "weight_decay")
    }
    names = [str(name) for name in trajectory["names"]]
    found = Replay(
        losses=np.array(losses),
        lr=_column(names, settings["lr"], lambda values: values[(0,) * values.dim()].item()),
        weight_decay=_column(names, settings["weight_decay"], lambda values: values[(0,) * values.dim()].item()),
        change=_column(names, change, lambda values: values.double().norm().item()),
    )
    return found, _column(names, change, Tensor.numel)


def compare(trajectory: Arrays, ours: Replay, sizes: NDArray[np.float64]) -> list[Row]:
    """Compares the loss of each update, and the changes, learning rates and weight decay of each parameter group.

    A group's difference is the largest among its parameters, in full steps. A full step is the norm `lr * sqrt(size)`,
    the most by which one update of Adam can change a parameter. A different rate or decay counts as infinite.

    Args:
        trajectory: arrays of a trajectory file.
        ours: the replay.
        sizes: (P,), number of elements of each parameter in the file.
    """
    rows = [
        Row(f"update {number:02d} {kind}", abs(float(loss) - float(found)), LOSS)
        for number, (kind, loss, found) in enumerate(
            zip(trajectory["kinds"], trajectory["losses"], ours.losses, strict=True), start=1
        )
    ]
    groups = defaultdict(list)
    for place, settings in enumerate(zip(trajectory["lr"], trajectory["weight_decay"], strict=True)):
        if not np.isnan(ours.lr[place]):
            groups[settings].append(place)
    for (lr, decay), members in groups.items():
        same = np.isclose(ours.lr[members], lr, rtol=1e-9) & np.isclose(ours.weight_decay[members], decay, rtol=1e-9)
        steps = np.abs(ours.change[members] - trajectory["change"][members]) / (lr * np.sqrt(sizes[members]))
        difference = float(steps.max()) if same.all() else np.inf
        unit = f"full steps, {len(members)} parameters" if same.all() else f"{(~same).sum()} have other settings"
        rows.append(Row(f"group lr {lr:g}, decay {decay:g}", difference, CHANGE, unit))
    return rows


def missing_parameters(trajectory: Arrays, ours: Replay) -> dict[str, str]:
    """Returns {name: reason} for the file's parameters that this package's model does not have."""
    reasons = KINDS["pretraining"].unread
    absent = [str(name) for name, lr in zip(trajectory["names"], ours.lr, strict=True) if np.isnan(lr)]
    return {name: reasons.get(name, "unknown parameter") for name in absent}


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a state dict to the authors' names, without names that only the authors' model has."""
    renamed = authors_state(state, "pretraining")
    return {name: tensor for name, tensor in renamed.items() if name not in KINDS["pretraining"].unread}


def _filled(shape: torch.Size, number: float) -> Tensor:
    """Returns a tensor of equal numbers in the memory of one; full tensors of all parameters would take gigabytes."""
    return torch.tensor(number, dtype=torch.float64).expand(shape)


def _column(names: list[str], state: dict[str, Tensor], value: Callable[[Tensor], float]) -> NDArray[np.float64]:
    return np.array([value(state[name]) if name in state else np.nan for name in names])


def report(trajectory: Arrays, inputs: Arrays, seed: int, manifest_path: str | None) -> int:
    """Replays a trajectory and prints one line for each update and each parameter group.

    Args:
        trajectory: arrays of a trajectory file.
        inputs: arrays of the golden file of the same seed.
        seed: seed of weights and images.
        manifest_path: see `read_manifest`; None for the manifest in the package.

    Returns:
        The number of lines that do not agree.

    Raises:
        UserError: an input is missing, or the manifest cannot be read.
    """
    missing = [name for name in NEEDED if name not in inputs]
    if missing:
        raise UserError(f"The golden file lacks the inputs {', '.join(missing)}.")
    model = GoldenModels(read_manifest(manifest_path or MANIFEST), seed).pretraining
    ours, sizes = replay(trajectory, TrajectoryStep(inputs, model, seed))
    rows = compare(trajectory, ours, sizes)
    for row in rows:
        print(row.line())
    for name, reason in missing_parameters(trajectory, ours).items():
        print(f"{name}: not compared ({reason})")
    failures = sum(not row.ok for row in rows)
    print(f"\nseed {seed}: {len(ours.losses)} updates, {len(rows)} lines compared, {failures} FAIL")
    return failures
