"""A shop whose photographs hold the number of their product, and an encoder that knows the products' values or none."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from toy_products import BagOfWords

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.opening import OpenedModel
from fashionfae_lavis.text.product_text import normalise

COLOURS = ("Navy Blue", "Red", "Off-White")
MATERIALS = ("wool", "silk")


class ToyShop:
    """`count` products with one photograph each, a `ProductFile`; the photographs in `broken` cannot be read."""

    path = Path("shop.csv")

    def __init__(self, count=60, seed=0, broken=(), **texts):
        rng = np.random.default_rng(seed)
        self.product_ids, self.row_product = np.arange(count), np.arange(count)
        self.colours = [str(rng.choice(COLOURS, p=[0.6, 0.3, 0.1])) for _ in range(count)]
        self.materials = [str(rng.choice(MATERIALS)) for _ in range(count)]
        self.texts = {
            "title": [f"Dress {number}" for number in range(count)],
            "description": [""] * count,
            "colour": self.colours,
            "material": self.materials,
            **texts,
        }
        self.broken = broken

    def image(self, row):
        if row in self.broken:
            raise UserError(f"{row}.png is missing: put it back.")
        return photograph(self.row_product[row])

    def value_words(self, product):
        """The words that `BagOfWords` sees in a product's photograph."""
        return normalise(f"{self.colours[product]} {self.materials[product]}").split()


def photograph(product):
    return Image.new("RGB", (32, 32), (int(product), 0, 0))


def as_pixels(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def toy_encoder(shop, knows=True):
    """Returns an encoder with embeddings alone; with `knows`, a photograph's is that of its product's values."""
    return encoder_of(BagOfWords(shop, knows))


def encoder_of(model, image_processor=as_pixels):
    return Encoder(OpenedModel("toy", model.eval(), image_processor, str, "0" * 16))


class Table:
    """A scorer whose scores are given: way -> attribute -> (products, values). It counts the batches."""

    def __init__(self, **ways):
        self.tables, self.batches = ways, []
        self.encoder = SimpleNamespace(name="table")

    def ways(self, name):
        return list(self.tables)

    def see(self, images, fields):
        self.batches.append(len(images))
        return [int(np.array(image)[0, 0, 0]) for image in images]

    def scores(self, seen, way, name, values):
        return np.asarray(self.tables[way][name], float)[seen]
