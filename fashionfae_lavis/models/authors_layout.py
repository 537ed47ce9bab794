"""State dicts of the authors' code (an MMF plug-in, like FashionViL's) and ours, both ways.

The authors keep transformers' ViT under `image_encoder.module.`, the fusion BERT under `model.bert.` and the heads
beside it. Which of four models a state dict is of shows in its keys. Their image tokenizer also comes alone, as
FashionViL's VQ-VAE encoder file, with the same keys without `model.image_tokenizer.`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.initial_weights import timm_vit_state, transformers_vit_state

VIT = "image_encoder.module."
SCALE, COMPOSITION_SCALE = "model.bert.contrastive_norm.norm_s", "model.norm_layer.norm_s"
HEADS = ("model.heads.", "model.fusion.", "model.image_tokenizer.", "model.classifier.", "model.catemap_layer.")

# Beginnings of the authors' names and of ours; the first that fits counts.
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

# Keys that hold the values of another one.
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


# Our image tokenizer may have a decoder; theirs is the encoder, which is all that APIR reads.
DECODER = ("decoder.", "post_quant_conv.", "image_tokenizer.decoder.", "image_tokenizer.post_quant_conv.")


@dataclass(frozen=True)
class Kind:
    """One of the authors' models.

    Attributes:
        arch: our model for it.
        marks: beginnings of keys that only this kind has.
        scale: its key of our `scale`, if we have one.
        unread: keys of the authors' that no output of ours reads, and why.
    """

    arch: str
    marks: tuple[str, ...]
    scale: str | None = None
    unread: dict[str, str] = field(default_factory=dict)


_POOLER = {
    f"{VIT}pooler.dense.{kind}": "the ViT's pooler: embeddings and fusion read its tokens"
    for kind in ("weight", "bias")
}
_CATEMAP = {
    f"model.catemap_layer.{name}": "the category logits are the classifier's"
    for name in ("0.weight", "0.bias", "1.weight", "1.bias")
}

# In the order in which they are told apart: a contrastive model is the encoders alone.
KINDS = {
    "pretraining": Kind("fashionfae", ("model.heads.", "model.fusion.", "model.image_tokenizer."), SCALE, _POOLER),
    "composition": Kind(
        "fashionfae_composition",
        ("model.norm_layer.",),
        COMPOSITION_SCALE,
        {**_POOLER, SCALE: f"text-guided retrieval has a scale of its own, {COMPOSITION_SCALE}"},
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
    """Which of KINDS the state dict with these names is of; `path` is only named in the error.

    Raises:
        UserError: of none.
    """
    names = list(names)
    if any(name.startswith("fusion_encoder.") for name in names):
        raise UserError(f"{path} is a checkpoint of ours already: load_model opens it as it is.")
    for kind, facts in KINDS.items():
        if any(name.startswith(facts.marks) for name in names):
            return kind
    shown = ", ".join(names[:3]) or "nothing"
    raise UserError(f"{path} is not a checkpoint of the authors' code (it holds {shown}).")


def authors_state(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Our state dict in the authors' layout, with every key that their model of this kind has.

    What we do not keep (`unread` of the kind) is zero, but a scale, which is 4.0, its initial value. What they do not
    have, the decoder of an image tokenizer, is left out.
    """
    state = {name: tensor for name, tensor in state.items() if not name.startswith(DECODER)}
    if kind == "image_tokenizer":
        return dict(state)
    facts = KINDS[kind]
    vit = {k.removeprefix("image_encoder."): v for k, v in state.items() if k.startswith("image_encoder.")}
    result = {VIT + name: tensor for name, tensor in transformers_vit_state(vit).items()}
    for name, tensor in state.items():
        if name == "scale":
            result[facts.scale] = tensor
        elif not name.startswith("image_encoder."):
            result[_renamed(name, ours=1, theirs=0)] = tensor
    heads = kind == "pretraining"
    result |= {a: result[name] for a, name in ALIASES.items() if heads or not a.startswith("model.heads.")}
    width = result[f"{VIT}layernorm.weight"].shape[0]
    for name in facts.unread:
        result[name] = torch.full((1,), 4.0) if name == SCALE else _zeros(name, width, result)
    return result


def our_state(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The authors' state dict in our layout, without aliases and unread keys; it must have passed `check`."""
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
            result[_renamed(name, ours=0, theirs=1)] = tensor
    return result


def left_out(names: Iterable[str], kind: str) -> dict[str, str]:
    """Those of the names that are left out on purpose, each with its reason."""
    names = list(names)
    reasons = KINDS[kind].unread | {alias: f"the same values as {name}" for alias, name in ALIASES.items()}
    result = {name: reasons[name] for name in names if name in reasons}
    if kind == "contrastive":
        heads = (*HEADS, COMPOSITION_SCALE)
        result |= {name: "a head: asked for the encoders only" for name in names if name.startswith(heads)}
    if kind == "image_tokenizer":
        result |= {name: "the decoder: APIR reads codes only" for name in names if name.startswith(DECODER)}
    return result


def check(state: dict[str, Tensor], expected: dict[str, Tensor], kind: str, path: str) -> None:
    """Compare names and shapes with those of `expected`, a state dict in the authors' layout.

    Raises:
        UserError: a key is missing, unknown or of another shape, or an alias differs from what it should repeat.
    """
    dropped = left_out({**expected, **state}, kind)
    problems = [f"{name} is missing" for name in expected if name not in state and name not in dropped]
    problems += [f"{name} is unknown" for name in state if name not in expected and name not in dropped]
    problems += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and name not in dropped and state[name].shape != tensor.shape
    ]
    problems += [
        f"{alias} differs from {name}"
        for alias, name in ALIASES.items()
        if alias in state and name in state and not torch.equal(state[alias], state[name])
    ]
    if problems:
        shown = ", ".join(problems[:3]) + (", ..." if len(problems) > 3 else "")
        raise UserError(f"{path} does not fit the authors' {kind} model: {len(problems)} tensors differ ({shown}).")


def _renamed(name: str, ours: int, theirs: int) -> str:
    """`name` with the first fitting beginning of NAMES exchanged: column `ours` becomes column `theirs`."""
    pair = next(pair for pair in NAMES if name.startswith(pair[ours]))
    return pair[theirs] + name.removeprefix(pair[ours])


def _zeros(name: str, width: int, state: dict[str, Tensor]) -> Tensor:
    if name.startswith("model.catemap_layer.1."):
        classes = len(state["model.classifier.1.bias"])
        return torch.zeros(classes, width) if name.endswith("weight") else torch.zeros(classes)
    return torch.zeros(width, width) if name == f"{VIT}pooler.dense.weight" else torch.zeros(width)
