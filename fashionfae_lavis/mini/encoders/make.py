"""Training of the encoders by `fashionfae make-mini-encoders`.

The products have a different seed from FashionGen-Mini's, and none looks like one of its validation products. The text
encoder is trained on their texts, then the image encoder on their pictures. To start from the file, set
`model.pretrained` to it. All other parts of the model keep their random weights. This includes the projection of image
tokens into the text encoder, so only pre-training learns which picture belongs to which text.

With photographs, the image encoder of `mini_encoders.safetensors` is trained further on their classes. With
`--unlabelled`, both encoders are trained without labels, as unlabelled.py describes.
"""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.datasets.builders.cache import cache_folder
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.encoders.images import Pictures, align_with_words, train_image_encoder
from fashionfae_lavis.mini.encoders.optimise import SEED
from fashionfae_lavis.mini.encoders.photographs import ClassFolders, accuracy, train_on_photographs
from fashionfae_lavis.mini.encoders.text import train_text_encoder
from fashionfae_lavis.mini.encoders.unlabelled import train_image_encoder_on_views, train_text_encoder_on_words
from fashionfae_lavis.mini.fashiongen import FILE_NAMES, prepare
from fashionfae_lavis.mini.fashiongen.attributes import Product, sample_products
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.models.encoders import ENCODERS, PARTS, PROJECTION
from fashionfae_lavis.models.fashionfae import FashionFAE

PRODUCTS = 12_000
UPDATES = {"text": 5000, "images": 8000, "alignment": 500, "photographs": 3600}
UNLABELLED_UPDATES = {"text": 3000, "images": 4000}
DRAWN = "mini_encoders.safetensors"


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
    model, drawn, pictures = _new_model(products)
    accuracy = train_text_encoder(model, drawn, updates["text"])
    accuracy |= train_image_encoder(model.image_encoder, pictures, drawn, updates["images"])
    align_with_words(model, pictures, drawn, updates["alignment"])
    _save(model, path)
    return accuracy


def make_unlabelled_encoders(
    path: Path, folder: Path | None = None, products: int = PRODUCTS, updates: dict[str, int] = UNLABELLED_UPDATES
) -> dict[str, float]:
    """Trains the encoders without labels, as unlabelled.py describes, and writes both to a file.

    Args:
        path: file to write, .safetensors.
        folder: folder with `train`, which has class folders of photographs to learn from as well.
        products: number of products to draw.
        updates: number of updates of each stage, with the keys of `UNLABELLED_UPDATES`.

    Returns:
        Accuracies (0..1) on held-out products: of masked words, and of a linear probe of each attribute.

    Raises:
        UserError: a photograph cannot be read, a folder is missing, or the cache or the file cannot be written.
    """
    processing: Any = OmegaConf.to_container(FashionFAE.config_for("mini").preprocess.vis_processor.eval)
    photographs = ClassFolders(folder / "train", processing, torch.device("cpu")) if folder else None
    model, drawn, pictures = _new_model(products)
    accuracy = {"masked words": train_text_encoder_on_words(model, drawn, updates["text"])}
    encoder = model.image_encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    accuracy |= train_image_encoder_on_views(encoder, pictures, photographs, drawn, updates["images"])
    _save(model.cpu(), path)
    return accuracy


def _new_model(products: int) -> tuple[FashionFAE, list[Product], Pictures]:
    """Returns a model with random weights, and products to train it on, with their pictures."""
    torch.manual_seed(SEED)
    config = FashionFAE.config_for("mini")
    model = FashionFAE.from_config({**config.model, "load_pretrained": False})
    drawn = sample_products("train", products, SEED)
    data = cache_folder() / "fashiongen_mini_encoders"
    prepare(data, train_products=products, validation_products=1, seed=SEED)
    processing: Any = OmegaConf.to_container(config.preprocess.vis_processor.train)
    return model, drawn, Pictures(FashionGenFile(data / FILE_NAMES["train"]), processing)


def _save(model: FashionFAE, path: Path) -> None:
    """Writes both encoders without the projection between them."""
    encoders = {name: tensor for name, tensor in model.state_dict().items() if name.split(".")[0] in PARTS}
    weights = {name: tensor for name, tensor in encoders.items() if not name.startswith(PROJECTION)}
    save_safetensors(weights, {"model": {"arch": ENCODERS}}, path)


def add_photographs(path: Path, folder: Path, updates: int = UPDATES["photographs"]) -> float:
    """Trains the image encoder of `mini_encoders.safetensors` on photographs and writes both encoders to a file.

    Args:
        path: file to write, .safetensors.
        folder: folder with `train` and `test`, each with a folder of photographs for each class.
        updates: number of updates.

    Returns:
        Share of the test photographs whose class is right.

    Raises:
        UserError: a photograph cannot be read, a folder is missing, or the file cannot be written.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = FashionFAE.config_for("mini")
    model = FashionFAE.from_config({**config.model, "pretrained": DRAWN})
    processing: Any = OmegaConf.to_container(config.preprocess.vis_processor.eval)
    train, test = (ClassFolders(folder / split, processing, device) for split in ("train", "test"))
    if train.classes != test.classes:
        raise UserError(f"{folder}: train and test must have the same class folders.")
    encoder = model.image_encoder.to(device)
    head = train_on_photographs(encoder, train, updates)
    trained = {f"image_encoder.{name}": tensor.cpu() for name, tensor in encoder.state_dict().items()}
    weights = read_checkpoint(shipped("weights", DRAWN))["model"] | trained
    save_safetensors(weights, {"model": {"arch": ENCODERS}}, path)
    return accuracy(encoder, head, test)
