"""A tiny model and a batch for it, shared by the tests."""

from pathlib import Path

import torch
from omegaconf import OmegaConf

from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.text.product_text import fashion_text

CONFIG = Path(__file__).with_name("tiny.yaml")
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "grey", "pink")


def tiny_model(**changes) -> FashionFAE:
    """The model of tiny.yaml with weights from seed 0; `changes` are dotted keys of its configuration."""
    config = OmegaConf.load(CONFIG).model
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    torch.manual_seed(0)
    return FashionFAE.from_config(config)


def tiny_fields(index: int) -> dict[str, str]:
    return {
        "title": f"Striped {COLOURS[index % 8]} cotton shirt",
        "description": "Long sleeves and a collar. Wash cold<br>Made in our studio" + " with care" * (index % 3),
        "category": "TOPS",
        "sub category": "SHIRTS",
        "gender": "Women" if index % 2 else "Men",
        "season": "SS2017" if index % 3 else "FW2016",
        "composition": "100% cotton",
    }


def tiny_samples(size: int = 4, seed: int = 0, first: int = 0) -> dict:
    """A batch of `size` products; images are noise."""
    fields = [tiny_fields(first + i) for i in range(size)]
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randn(size, 3, 32, 32, generator=generator),
        "text_input": [fashion_text(f, "description+attributes") for f in fields],
        "fields": fields,
        "product_id": torch.arange(first, first + size),
        "mask_seed": (seed,),
    }
