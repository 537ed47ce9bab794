"""Tiny models of each kind, and their state dicts in the layout of the authors' code."""

import torch
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model

from fashionfae_lavis.models import FashionComposition, FashionRecognition, FashionRetrieval
from fashionfae_lavis.models.authors_layout import authors_state


def tiny_of(model_class, **changes):
    """Builds another FashionFAE model at the size of tiny.yaml, with weights from seed 0."""
    config = OmegaConf.load(CONFIG).model
    config.update(arch=model_class.ARCH, **changes)
    torch.manual_seed(0)
    return model_class.from_config(config)


# The authors' image tokenizer has no decoder.
FAMILY = {
    "pretraining": lambda: tiny_model(image_tokenizer__decoder=False),
    "contrastive": lambda: tiny_of(FashionRetrieval),
    "composition": lambda: tiny_of(FashionComposition),
    "classification": lambda: tiny_of(FashionRecognition, num_classes=5),
}


def authors_checkpoint(kind: str) -> dict[str, torch.Tensor]:
    """Returns a state dict in the authors' layout, in which no tensors share memory."""
    if kind == "image_tokenizer":
        state = tiny_model(image_tokenizer__decoder=False).image_tokenizer.state_dict()
    else:
        state = authors_state(FAMILY[kind]().state_dict(), kind)
    return {name: tensor.clone() for name, tensor in state.items()}
