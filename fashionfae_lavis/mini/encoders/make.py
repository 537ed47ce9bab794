"""Training of both encoders by `fashionfae make-mini-encoders`.

The products have a different seed from FashionGen-Mini's, and none looks like one of its validation products. The text
encoder is trained on their texts, then the image encoder on their pictures. To start from the file, set
`model.pretrained` to it. All other parts of the model keep their random weights. This includes the projection of image
tokens into the text encoder, so only pre-training learns which picture belongs to which text.
"""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.datasets.builders.cache import cache_folder
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.mini.encoders.images import Pictures, align_with_words, train_image_encoder
from fashionfae_lavis.mini.encoders.optimise import SEED
from fashionfae_lavis.mini.encoders.text import train_text_encoder
from fashionfae_lavis.mini.fashiongen import FILE_NAMES, prepare
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.models.encoders import ENCODERS, PARTS, PROJECTION
from fashionfae_lavis.models.fashionfae import FashionFAE

PRODUCTS = 12_000
UPDATES = {"text": 5000, "images": 8000, "alignment": 500}


def make_mini_encoders(path: Path, products: int = PRODUCTS, updates: dict[str, int] = UPDATES) -> dict[str, float]:
    """Draws products, trains the encoders on them and writes both to a file.

    Args:
        path: file to write, .safetensors.
        products: number of products to draw.
        updates: number of updates of each stage, with the keys of `UPDATES`.

    Returns:
        Accuracies (0..1) on held-out products.

    Raises:
        UserError: the cache or the file cannot be written.
    """
    torch.manual_seed(SEED)
    config = FashionFAE.config_for("mini")
    model = FashionFAE.from_config({**config.model, "load_pretrained": False})
    drawn = sample_products("train", products, SEED)
    accuracy = train_text_encoder(model, drawn, updates["text"])
    data = cache_folder() / "fashiongen_mini_encoders"
    prepare(data, train_products=products, validation_products=1, seed=SEED)
    processing: Any = OmegaConf.to_container(config.preprocess.vis_processor.train)
    pictures = Pictures(FashionGenFile(data / FILE_NAMES["train"]), processing)
    accuracy |= train_image_encoder(model.image_encoder, pictures, drawn, updates["images"])
    align_with_words(model, pictures, drawn, updates["alignment"])
    encoders = {name: tensor for name, tensor in model.state_dict().items() if name.split(".")[0] in PARTS}
    weights = {name: tensor for name, tensor in encoders.items() if not name.startswith(PROJECTION)}
    save_safetensors(weights, {"model": {"arch": ENCODERS}}, path)
    return accuracy
