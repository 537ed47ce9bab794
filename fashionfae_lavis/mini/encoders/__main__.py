"""Makes the file of encoders that ships: `python -m fashionfae_lavis.mini.encoders FILE.safetensors`.

Draws 12,000 products of another seed than FashionGen-Mini's, none of which looks like one of its validation products,
and trains the text encoder on their texts, then the image encoder on their pictures. The file goes into
`model.pretrained`; all else of a model then starts anew, the projection from the one to the other too: which picture
belongs to which text is for pre-training to learn.
"""

import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.datasets.builders.cache import cache_folder
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.encoders.images import Pictures, align_with_words, train_image_encoder
from fashionfae_lavis.mini.encoders.optimise import SEED
from fashionfae_lavis.mini.encoders.text import train_text_encoder
from fashionfae_lavis.mini.fashiongen import FILE_NAMES, prepare
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.models.encoders import BETWEEN, ENCODERS
from fashionfae_lavis.models.fashionfae import FashionFAE

PRODUCTS = 12_000
UPDATES = {"text": 5000, "images": 8000, "alignment": 500}


def main(path: Path, products: int = PRODUCTS, updates: dict[str, int] = UPDATES) -> dict[str, float]:
    """Draw, train and write the encoders; returns the accuracies on products that they were not trained on."""
    torch.manual_seed(SEED)
    config = FashionFAE.config_for("mini")
    model = FashionFAE.from_config({**config.model, "load_pretrained": False})
    drawn = sample_products("train", products, SEED)
    accuracy = train_text_encoder(model, drawn, updates["text"])
    data = cache_folder() / "fashiongen_mini_encoders"
    prepare(data, train_products=products, validation_products=1, seed=SEED)
    processing = OmegaConf.to_container(config.preprocess.vis_processor.train)
    pictures = Pictures(FashionGenFile(data / FILE_NAMES["train"]), processing)
    accuracy |= train_image_encoder(model.image_encoder, pictures, drawn, updates["images"])
    align_with_words(model, pictures, drawn, updates["alignment"])
    encoders = {k: v for k, v in model.state_dict().items() if k.split(".")[0] in ("image_encoder", "fusion_encoder")}
    weights = {name: tensor for name, tensor in encoders.items() if not name.startswith(BETWEEN)}
    save_safetensors(weights, {"model": {"arch": ENCODERS}}, path)
    return accuracy


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m fashionfae_lavis.mini.encoders FILE.safetensors")
    try:
        for name, share in main(Path(sys.argv[1])).items():
            print(f"{name:<14}{100 * share:5.1f} % right on held-out products")
    except UserError as error:
        sys.exit(f"error: {error}")
