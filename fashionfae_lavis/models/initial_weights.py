"""Initial weights in transformers' format, from the hub or a local folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import HfApi
from torch import Tensor
from transformers import BertModel, ViTModel
from transformers.utils import logging as transformers_logging

from fashionfae_lavis.checkpoints import check_archive, find_state, load_weights, read_file
from fashionfae_lavis.errors import UserError

if TYPE_CHECKING:
    from fashionfae_lavis.models.encoders import FashionEncoders


def from_hub(load: Callable[..., Any], name: str, what: str) -> Any:
    """Calls a loader of transformers; raises UserError if the hub or folder cannot be read."""
    if Path(name).is_dir():
        return _from_folder(load, name, what)
    try:
        try:
            return load(name, local_files_only=True)  # the hub's cache
        except (OSError, ValueError):
            # Probe the hub with a short request first, because transformers retries for a minute and a half.
            HfApi().model_info(name, timeout=5)
            return load(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"Cannot read the {what} from {name!r} (no such folder, or the model hub cannot be reached): go online, "
            "set the key to a local folder with those files, or start from a checkpoint of this package with "
            '`model.pretrained`; load_model("fashionfae") needs no download.'
        ) from error


def _from_folder(load: Callable[..., Any], name: str, what: str) -> Any:
    for path in sorted(Path(name).glob("*.bin")):  # transformers does not check their CRCs
        check_archive(path)
    try:
        return load(name, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise many types of exceptions for broken files
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"Cannot read the {what} from the folder {name!r} ({reason}): copy the folder again, or use another one."
        ) from error


def load_hub_weights(model: "FashionEncoders", bert: str, vit: str) -> None:
    """Loads a BERT and a ViT into a model; visual token types and positions start as copies of BERT's.

    Args:
        model: the model to load the weights into.
        bert: `model.bert`, a hub id or a local folder in transformers' format (safetensors or bin).
        vit: `model.vit`, the same for a ViT, or a file of timm's VisionTransformer (.pth or .safetensors), whose
            LayerNorms then get an epsilon of 1e-12.

    Raises:
        UserError: the BERT or the ViT cannot be read or has another size.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # hides the list of heads that are left out on purpose
    try:
        bert_state = from_hub(BertModel.from_pretrained, bert, "BERT of `model.bert`").state_dict()
        if Path(vit).is_file():
            vit_state = _without_head(find_state(read_file(vit), vit))
        else:
            vit_state = timm_vit_state(from_hub(ViTModel.from_pretrained, vit, "ViT of `model.vit`").state_dict())
    finally:
        transformers_logging.set_verbosity(verbosity)
    visual = {
        key: value for key, value in model.fusion_encoder.state_dict().items() if key.startswith("visual_embeddings.")
    }
    for table in ("token_type_embeddings", "position_embeddings"):
        visual[f"visual_embeddings.{table}.weight"] = bert_state[f"embeddings.{table}.weight"]
    load_weights(model.fusion_encoder, bert_state | visual, bert)
    load_weights(model.image_encoder, vit_state, vit)


def _without_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Removes the classification head from a state dict of timm's VisionTransformer."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("head.", "pre_logits.", "fc_norm."))}


# Name in timm's VisionTransformer -> name in transformers' ViTModel.
VIT_NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
VIT_BLOCK_NAMES = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def timm_vit_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Converts a state dict of transformers' ViTModel to timm's, which keeps query, key and value in one matrix."""
    renamed = {timm: state[name] for timm, name in VIT_NAMES.items()}
    depth = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.layer."))
    for index in range(depth):
        source = f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            for timm, name in VIT_BLOCK_NAMES.items():
                renamed[f"blocks.{index}.{timm}.{kind}"] = state[f"{source}.{name}.{kind}"]
            attention = [state[f"{source}.attention.attention.{name}.{kind}"] for name in ("query", "key", "value")]
            renamed[f"blocks.{index}.attn.qkv.{kind}"] = torch.cat(attention)
    return renamed


def transformers_vit_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Reverses `timm_vit_state`. The result lacks transformers' pooler, which timm's ViT does not have.

    Raises:
        UserError: the image encoder has a convolutional stem, or lacks a tensor.
    """
    if "patch_embed.proj.weight" not in state:
        raise UserError(
            "The image encoder begins with convolutions (model.image_encoder.stem), which the layouts of the authors "
            "and of transformers do not support: use a plain ViT, `stem: null`."
        )
    try:
        renamed = {name: state[timm] for timm, name in VIT_NAMES.items()}
        depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
        for index in range(depth):
            target = f"encoder.layer.{index}"
            for kind in ("weight", "bias"):
                for timm, name in VIT_BLOCK_NAMES.items():
                    renamed[f"{target}.{name}.{kind}"] = state[f"blocks.{index}.{timm}.{kind}"]
                parts = state[f"blocks.{index}.attn.qkv.{kind}"].chunk(3)
                for name, part in zip(("query", "key", "value"), parts, strict=True):
                    renamed[f"{target}.attention.attention.{name}.{kind}"] = part.clone()
    except (KeyError, ValueError, RuntimeError) as error:  # a missing tensor, an odd name or shape
        raise UserError(f"The image encoder is damaged ({error}): use another copy of the checkpoint.") from error
    return renamed
