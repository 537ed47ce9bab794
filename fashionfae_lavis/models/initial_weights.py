"""Initial weights and vocabulary in transformers' format: a hub id or a local folder."""

from pathlib import Path

import torch
from huggingface_hub import HfApi
from transformers import AutoTokenizer, BertModel, ViTModel
from transformers.utils import logging as transformers_logging

from fashionfae_lavis.checkpoints import find_state, load_weights, read_file
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped


def _from_hub(load, name: str, what: str):
    """Call a transformers loader; a hub or folder that cannot be read becomes one sentence with the ways on."""
    try:
        try:
            return load(name, local_files_only=True)  # a folder, or in the hub's cache
        except (OSError, ValueError):
            if Path(name).is_dir():
                raise
            # One short question first: without an answer transformers would go on asking for a minute and a half.
            HfApi().model_info(name, timeout=5)
            return load(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"Cannot read the {what} from {name!r} (no such folder, or the model hub cannot be reached): go online and "
            "try again, or set the key to a local folder with those files, or start from a checkpoint of ours with "
            '`model.pretrained`; load_model("fashionfae") itself needs no download.'
        ) from error


def load_tokenizer(name: str):
    """Word-piece tokenizer of `model.vocabulary`: one that ships with the package, a local folder or a hub id."""
    return _from_hub(AutoTokenizer.from_pretrained, shipped("vocabularies", name), "vocabulary of `model.vocabulary`")


def load_hub_weights(model, bert: str, vit: str) -> None:
    """Start from a BERT and a ViT (METHOD 2); visual token types and positions start as copies of BERT's.

    Args:
        model: a FashionEncoders.
        bert, vit: hub ids or local folders in transformers' format (safetensors or bin), as in `model.bert` and
            `model.vit`; `vit` may also be a file of timm's VisionTransformer (.pth or .safetensors), whose
            LayerNorms then get our epsilon of 1e-12.

    Raises:
        UserError: one of them cannot be read or is of another size.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it would list the heads we leave out on purpose
    try:
        bert_state = _from_hub(BertModel.from_pretrained, bert, "BERT of `model.bert`").state_dict()
        if Path(vit).is_file():
            vit_state = _without_head(find_state(read_file(vit), vit))
        else:
            vit_state = timm_vit_state(_from_hub(ViTModel.from_pretrained, vit, "ViT of `model.vit`").state_dict())
    finally:
        transformers_logging.set_verbosity(verbosity)
    visual = {
        key: value for key, value in model.fusion_encoder.state_dict().items() if key.startswith("visual_embeddings.")
    }
    for table in ("token_type_embeddings", "position_embeddings"):
        visual[f"visual_embeddings.{table}.weight"] = bert_state[f"embeddings.{table}.weight"]
    load_weights(model.fusion_encoder, bert_state | visual, bert)
    load_weights(model.image_encoder, vit_state, vit)


def _without_head(state: dict) -> dict:
    """State dict of timm's VisionTransformer without what follows its tokens."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("head.", "pre_logits.", "fc_norm."))}


# Names in timm's VisionTransformer and in transformers' ViTModel.
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


def timm_vit_state(state: dict) -> dict:
    """State dict of transformers' ViTModel -> timm's VisionTransformer (query, key and value become one matrix)."""
    renamed = {ours: state[theirs] for ours, theirs in VIT_NAMES.items()}
    depth = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.layer."))
    for index in range(depth):
        source = f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            for ours, theirs in VIT_BLOCK_NAMES.items():
                renamed[f"blocks.{index}.{ours}.{kind}"] = state[f"{source}.{theirs}.{kind}"]
            attention = [state[f"{source}.attention.attention.{name}.{kind}"] for name in ("query", "key", "value")]
            renamed[f"blocks.{index}.attn.qkv.{kind}"] = torch.cat(attention)
    return renamed


def transformers_vit_state(state: dict) -> dict:
    """The way back from timm_vit_state; the pooler, which timm's ViT lacks, is not in the result.

    Raises:
        UserError: the image encoder begins with convolutions.
    """
    if "patch_embed.proj.weight" not in state:
        raise UserError(
            "The model's image encoder begins with convolutions (model.image_encoder.stem), which the layout of the "
            "authors and of transformers does not have: only a plain ViT, `stem: null`, comes over."
        )
    renamed = {theirs: state[ours] for ours, theirs in VIT_NAMES.items()}
    depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    for index in range(depth):
        target = f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            for ours, theirs in VIT_BLOCK_NAMES.items():
                renamed[f"{target}.{theirs}.{kind}"] = state[f"blocks.{index}.{ours}.{kind}"]
            parts = state[f"blocks.{index}.attn.qkv.{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                renamed[f"{target}.attention.attention.{name}.{kind}"] = part.clone()
    return renamed
