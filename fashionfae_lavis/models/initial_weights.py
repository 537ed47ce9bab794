"""Initial weights in the formats of transformers and timm, from the hub or local files."""

import json
import logging
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from huggingface_hub import HfApi, hf_hub_download
from torch import Tensor
from transformers import BertModel, ViTModel
from transformers.utils import logging as transformers_logging

from fashionfae_lavis.checkpoints import check_archive, find_state, load_weights, read_file
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.state_dicts import listed

if TYPE_CHECKING:
    from fashionfae_lavis.models.encoders import FashionEncoders


def from_hub(load: Callable[..., Any], name: str, what: str) -> Any:
    """Calls a loader of transformers or of the hub; raises UserError if the hub or folder cannot be read."""
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


def load_hub_weights(model: "FashionEncoders", bert: str | None, vit: str | None) -> None:
    """Loads a BERT and a ViT into a model; an encoder without one keeps its random weights.

    Args:
        model: the model to load the weights into.
        bert: `model.bert`, a hub id or a local folder in transformers' format (safetensors or bin).
        vit: `model.vit`, the same for a ViT, or a ViT of timm: a hub id `timm/...`, a folder of that hub, or a file
            (.pth or .safetensors).

    Raises:
        UserError: the BERT or the ViT cannot be read, lacks weights or has another size.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # hides the list of heads that are left out on purpose
    try:
        text = load_transformers(BertModel, bert, "BERT of `model.bert`") if bert else None
        image = read_vit(vit) if vit else None
    finally:
        transformers_logging.set_verbosity(verbosity)
    if bert and text:
        _load_bert(model, text, bert)
    else:
        logging.info("model.bert is null: the fusion encoder starts from random weights.")
    if vit and image:
        if "pos_embed" in image:
            image["pos_embed"] = resample_positions(image["pos_embed"], model.image_encoder.grid)
        load_weights(model.image_encoder, image, vit)
    else:
        logging.info("model.vit is null: the image encoder starts from random weights.")


def _load_bert(model: "FashionEncoders", state: dict[str, Tensor], path: str) -> None:
    """Loads a BERT into the fusion encoder. Visual token types and positions start as copies of BERT's."""
    visual = {
        key: value for key, value in model.fusion_encoder.state_dict().items() if key.startswith("visual_embeddings.")
    }
    for table in ("token_type_embeddings", "position_embeddings"):
        visual[f"visual_embeddings.{table}.weight"] = state[f"embeddings.{table}.weight"]
    load_weights(model.fusion_encoder, state | visual, path)


def load_transformers(model_class: Any, name: str, what: str) -> dict[str, Tensor]:
    """Loads the state dict of a model in transformers' format.

    Args:
        model_class: its class in transformers.
        name: a hub id or a local folder.
        what: the model and its key, for the error.

    Raises:
        UserError: the model cannot be read, or lacks weights, which transformers would draw at random.
    """
    loaded, info = from_hub(partial(model_class.from_pretrained, output_loading_info=True), name, what)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))  # many files have none
    if missing:
        raise UserError(
            f"{name!r} is not the {what}: it lacks {len(missing)} weights ({listed(missing)}). Name another model."
        )
    return loaded.state_dict()


def read_vit(name: str) -> dict[str, Tensor]:
    """Reads a ViT from the hub, a local folder or a file; see `load_hub_weights`.

    Returns:
        Its state dict with timm's names, without a classification head.

    Raises:
        UserError: the ViT cannot be read or lacks weights.
    """
    what, path = "ViT of `model.vit`", Path(name)
    if _is_timm_folder(path):
        path /= "model.safetensors"
    elif name.startswith("timm/") and not path.exists():
        path = Path(from_hub(partial(hf_hub_download, filename="model.safetensors"), name, what))
    elif not path.is_file():
        return timm_vit_state(load_transformers(ViTModel, name, what))
    return _without_head(find_state(read_file(path), path))


def _is_timm_folder(path: Path) -> bool:
    """Returns whether a folder is a copy of one of timm's on the hub, whose config.json names an architecture."""
    try:
        return "architecture" in json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # TypeError: a number
        return False


def resample_positions(positions: Tensor, grid: int) -> Tensor:
    """Resamples the position embeddings of a ViT to another number of patches, as timm's `resample_abs_pos_embed`.

    Args:
        positions: (1, 1 + n^2, D), of [CLS] and n x n patches.
        grid: patches on a side of the new image.

    Returns:
        (1, 1 + grid^2, D); [CLS] is unchanged, and patches are interpolated bicubically with antialiasing. Tensors of
        another shape are returned as they are.
    """
    side = math.isqrt(max(positions.shape[1] - 1, 0)) if positions.ndim == 3 else 0
    if side in (0, grid) or positions.shape[1] != 1 + side**2:
        return positions
    patches = positions[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    patches = F.interpolate(patches, size=(grid, grid), mode="bicubic", antialias=True)
    return torch.cat((positions[:, :1], patches.flatten(2).transpose(1, 2).to(positions.dtype)), dim=1)


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
