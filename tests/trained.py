"""Tiny checkpoints of every family of models, as `lavis.train` writes them."""

from pathlib import Path

import torch
from authors import tiny_of
from baselines import tiny_baseline, tiny_config
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model

from fashionfae_lavis.checkpoints import save_atomically
from fashionfae_lavis.models import FashionComposition, FashionRecognition, FashionRetrieval

PROCESSING = {
    "vis_processor": {"eval": {"name": "fashionfae_image_eval", "resize": 36, "image_size": 32}},
    "text_processor": {"eval": {"name": "fashionfae_text"}},
}
OURS = {
    "fashionfae": tiny_model,
    "fashionfae_retrieval": lambda: tiny_of(FashionRetrieval),
    "fashionfae_composition": lambda: tiny_of(FashionComposition),
    "fashionfae_recognition": lambda: tiny_of(FashionRecognition, num_classes=5),
}


def checkpoint_of(arch: str, path: Path, **sections) -> Path:
    """Writes the checkpoint of a tiny model with weights from seed 0; `sections` replace those of its configuration."""
    if arch in OURS:
        model, config = OURS[arch](), OmegaConf.load(CONFIG).model
        config.update(arch=arch, **({"num_classes": 5} if arch == "fashionfae_recognition" else {}))
    else:
        model, config = tiny_baseline(arch), tiny_config(arch)
    plain = {"model": OmegaConf.to_container(config), "vocabulary": model.carried_vocabulary()}
    datasets = {"catalogue": {"data_type": "images", **PROCESSING}}
    content = {"model": model.state_dict(), "config": {**plain, "datasets": datasets, **sections}}
    save_atomically(content, path)
    return path


def different_weights(path: Path, copy: Path) -> Path:
    """Copies a checkpoint with one changed weight."""
    content = torch.load(path, weights_only=True)
    name = next(name for name, tensor in content["model"].items() if tensor.is_floating_point())
    content["model"][name] += 1e-3
    save_atomically(content, copy)
    return copy
