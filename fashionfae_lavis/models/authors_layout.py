"""Conversion of state dicts between the authors' code (an MMF plug-in, like FashionViL's) and this package.

The authors keep transformers' ViT under `image_encoder.module.`, the fusion BERT under `model.bert.` and the heads
elsewhere under `model.`. The keys identify which of the four kinds of model a file holds. FashionViL also publishes the
image tokenizer as a separate VQ-VAE encoder file, whose keys lack the prefix `model.image_tokenizer.`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.initial_weights import timm_vit_state, transformers_vit_state
from fashionfae_lavis.state_dicts import listed, misfits

VIT = "image_encoder.module."
SCALE, COMPOSITION_SCALE = "model.bert.contrastive_norm.norm_s", "model.norm_layer.norm_s"
HEADS = ("model.heads.", "model.fusion.", "model.image_tokenizer.", "model.classifier.", "model.catemap_layer.")

# (prefix in the authors' code, prefix in this package); the first match counts.
NAMES = (
    ("model.bert.embeddings.projection.", "fusion_encoder.visual_embeddings.projection."),
    ("model.bert.embeddings.token_type_embeddings_visual.", "fusion_encoder.visual_embeddings.token_type_embeddings."),
    ("model.bert.embeddings.position_embeddings_visual.", "fusion_encoder.visual_embeddings.position_embeddings."),
    ("model.bert.", "fusion_encoder."),
    ("model.heads.itm.seq_relationship.", "itm_head."),
    ("model.heads.mlm.", "mlm_head."),
    ("model.heads.mpfc.", "apir_head."),
    ("model.fusion.LN.", "promotion.layer_norm."),
    ("model.fusion.", "promotion."),
    ("model.classifier.", "classifier."),
    ("model.image_tokenizer.", "image_tokenizer."),
)

# Key -> the key whose values it repeats.
ALIASES = {
    **{
        f"image_encoder.embeddings.{name}": f"{VIT}embeddings.{name}"
        for name in (
            "cls_token",
            "position_embeddings",
            "patch_embeddings.projection.weight",
            "patch_embeddings.projection.bias",
        )
    },
    "model.heads.mlm.decoder.weight": "model.bert.embeddings.word_embeddings.weight",
    "model.heads.mlm.decoder.bias": "model.heads.mlm.bias",
}

# The decoder of this package's image tokenizer. The authors' tokenizer has none, since APIR reads codes only.
DECODER = ("decoder.", "post_quant_conv.", "image_tokenizer.decoder.", "image_tokenizer.post_quant_conv.")


@dataclass(frozen=True)
class Kind:
    """One kind of the authors' models.

    Attributes:
        arch: registered name of this package's model.
        marks: prefixes of keys that only this kind has.
        scale: the authors' key for `scale`, if this package's model has one.
        unread: the authors' key -> the reason why this package's model has no such weight.
    """

    arch: str
    marks: tuple[str, ...]
    scale: str | None = None
    unread: dict[str, str] = field(default_factory=dict)


_POOLER = {
    f"{VIT}pooler.dense.{part}": "the ViT's pooler: embeddings and fusion read its tokens"
    for part in ("weight", "bias")
}
_CATEMAP = {
    f"model.catemap_layer.{name}": "the category logits are the classifier's"
    for name in ("0.weight", "0.bias", "1.weight", "1.bias")
}

# The first kind whose prefixes match counts. A contrastive model has only the encoders, so it comes after the others.
KINDS = {
    "pretraining": Kind("fashionfae", ("model.heads.", "model.fusion.", "model.image_tokenizer."), SCALE, _POOLER),
    "composition": Kind(
        "fashionfae_composition",
        ("model.norm_layer.",),
        COMPOSITION_SCALE,
        {**_POOLER, SCALE: f"text-guided retrieval uses the scale {COMPOSITION_SCALE}"},
    ),
    "classification": Kind(
        "fashionfae_recognition",
        ("model.classifier.", "model.catemap_layer."),
        None,
        {**_POOLER, **_CATEMAP, SCALE: "recognition compares no embeddings"},
    ),
    "contrastive": Kind("fashionfae_retrieval", ("model.bert.", "image_encoder."), SCALE, _POOLER),
    "image_tokenizer": Kind("fashionfae_image_tokenizer", ("encoder.conv_in.", "encoder.down.", "quantize.")),
}


def kind_of(names: Iterable[str], path: str) -> str:
    """Finds the kind of a state dict, a key of `KINDS`.

    Args:
        names: keys of the state dict.
        path: file of the state dict, for the error.

    Raises:
        UserError: the keys match no kind.
    """
    names = list(names)
    if any(name.startswith("fusion_encoder.") for name in names):
        raise UserError(f"{path} is already a checkpoint of this package: open it with load_model.")
    for kind, facts in KINDS.items():
        if any(name.startswith(facts.marks) for name in names):
            return kind
    shown = ", ".join(names[:3]) or "nothing"
    raise UserError(f"{path} is not a checkpoint of the authors' code (it holds {shown}).")


def authors_state(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Converts a state dict of this package to the authors' layout, with every key of their model of this kind.

    Keys without a counterpart (the kind's `unread`) are filled: a scale with its initial value 4.0, others with zeros.
    The decoder of an image tokenizer, which the authors' model lacks, is left out.
    """
    state = {name: tensor for name, tensor in state.items() if not name.startswith(DECODER)}
    if kind == "image_tokenizer":
        return dict(state)
    facts = KINDS[kind]
    vit = {k.removeprefix("image_encoder."): v for k, v in state.items() if k.startswith("image_encoder.")}
    result = {VIT + name: tensor for name, tensor in transformers_vit_state(vit).items()}
    for name, tensor in state.items():
        if name == "scale":
            result[str(facts.scale)] = tensor
        elif not name.startswith("image_encoder."):
            result[_renamed(name, source=1, target=0)] = tensor
    heads = kind == "pretraining"
    result |= {a: result[name] for a, name in ALIASES.items() if heads or not a.startswith("model.heads.")}
    width = result[f"{VIT}layernorm.weight"].shape[0]
    for name in facts.unread:
        result[name] = torch.full((1,), 4.0) if name == SCALE else _zeros(name, width, result)
    return result


def our_state(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Converts a state dict of the authors to this package's layout, without aliases and unread keys.

    Call `check` first, because unknown keys have no counterpart.
    """
    dropped = left_out(state, kind)
    if kind == "image_tokenizer":
        return {name: tensor for name, tensor in state.items() if name not in dropped}
    facts = KINDS[kind]
    vit = {k.removeprefix(VIT): v for k, v in state.items() if k.startswith(VIT)}
    result = {f"image_encoder.{name}": tensor for name, tensor in timm_vit_state(vit).items()}
    for name, tensor in state.items():
        if name == facts.scale:
            result["scale"] = tensor
        elif not name.startswith(VIT) and name not in dropped:
            result[_renamed(name, source=0, target=1)] = tensor
    return result


def left_out(names: Iterable[str], kind: str) -> dict[str, str]:
    """Returns {name: reason} for the names that a conversion drops on purpose."""
    names = list(names)
    reasons = KINDS[kind].unread | {alias: f"the same values as {name}" for alias, name in ALIASES.items()}
    result = {name: reasons[name] for name in names if name in reasons}
    if kind == "contrastive":
        heads = (*HEADS, COMPOSITION_SCALE)
        result |= {name: "a head: only the encoders are wanted" for name in names if name.startswith(heads)}
    if kind == "image_tokenizer":
        result |= {name: "the decoder: APIR reads codes only" for name in names if name.startswith(DECODER)}
    return result


def check(state: dict[str, Tensor], expected: dict[str, Tensor], kind: str, path: str) -> None:
    """Checks that a state dict in the authors' layout has the expected names and shapes.

    Args:
        state: the state dict to check.
        expected: a state dict with the right names and shapes.
        kind: a key of `KINDS`.
        path: the file of `state`, for the error.

    Raises:
        UserError: a key is missing, unknown or of another shape, or an alias differs from the key it repeats.
    """
    dropped = left_out({**expected, **state}, kind)
    kept, wanted = ({name: tensors[name] for name in tensors if name not in dropped} for tensors in (state, expected))
    problems = misfits(kept, wanted)
    problems += [
        f"{alias} differs from {name}"
        for alias, name in ALIASES.items()
        if alias in state and name in state and not torch.equal(state[alias], state[name])
    ]
    if problems:
        raise UserError(
            f"{path} does not fit the authors' {kind} model: {len(problems)} tensors differ ({listed(problems)})."
        )


def _renamed(name: str, source: int, target: int) -> str:
    """Replaces the first matching prefix of NAMES, from column `source` to column `target`."""
    pair = next((pair for pair in NAMES if name.startswith(pair[source])), None)
    if pair is None:
        raise UserError(f"{name} has no counterpart in the authors' layout: add its prefix to NAMES, or leave it out.")
    return pair[target] + name.removeprefix(pair[source])


def _zeros(name: str, width: int, state: dict[str, Tensor]) -> Tensor:
    if name.startswith("model.catemap_layer.1."):
        classes = len(state["model.classifier.1.bias"])
        return torch.zeros(classes, width) if name.endswith("weight") else torch.zeros(classes)
    return torch.zeros(width, width) if name == f"{VIT}pooler.dense.weight" else torch.zeros(width)
