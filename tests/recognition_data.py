"""FashionGen-Mini with labels, small, for the tests of recognition."""

from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.builders import FashionGenBuilder
from fashionfae_lavis.mini.fashiongen import prepare

CATEGORIES = ["DRESSES", "JACKETS & COATS", "PANTS", "SKIRTS", "SWEATERS", "TOPS"]


def draw(folder):
    prepare(folder, train_products=40, validation_products=20, image_size=64)
    return folder


def datasets_section(folder, **changes):
    vis = {s: {"name": f"fashionfae_image_{s}", "resize": 32, "image_size": 32} for s in ("train", "eval")}
    text = {split: {"name": "fashionfae_text", "mode": "recognition"} for split in ("train", "eval")}
    build = {"images": {"storage": str(folder)}}
    section = {"data_type": "images", "build_info": build, "vis_processor": vis, "text_processor": text}
    return {**section, "label": "category", **changes}


def build(folder, **changes):
    return FashionGenBuilder(OmegaConf.create(datasets_section(folder, **changes))).build_datasets()


def loader_of(dataset, batch_size=7):
    return DataLoader(dataset, batch_size=batch_size, collate_fn=dataset.collater)
