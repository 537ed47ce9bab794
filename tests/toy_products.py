"""A dataset of products with attributes for the attribute probe, and models that know all or nothing about it."""

import numpy as np
import torch
from lavis.models.blip_models.blip_outputs import BlipOutputFeatures

from fashionfae_lavis.processors import FashionTextProcessor
from fashionfae_lavis.text.product_text import attribute_words

CATEGORIES = {"SHIRTS": "TOPS", "TANK TOPS": "TOPS", "SKIRTS": "SKIRTS", "GOWNS": "DRESSES"}
WORDS = 1200  # how many words a BagOfWords can distinguish
COLOURS = ("red", "blue", "three quarter green")


class ToyProducts:
    """`count` products with two images each, whose pixels are all the product's index; some lack an attribute.

    `change(fields)` makes further changes to the fields of each product.
    """

    attribute_words = {}
    unseen_attributes = ()

    def __init__(self, count=120, mode="description+attributes", change=None):
        rng = np.random.default_rng(0)
        self.product_ids = np.arange(count)
        self.row_product = np.repeat(np.arange(count), 2)
        self.text_processor = FashionTextProcessor(mode)
        self.fields, colours = [], []
        for index in range(count):
            kind = str(rng.choice(list(CATEGORIES)))
            fields = {
                "title": f"Linen {kind.lower()[:-1]} number {index}",
                "description": "Cut in linen.",
                "category": CATEGORIES[kind],
                "sub category": kind,
                "gender": "Women",
                "season": str(rng.choice(["SS2016", "FW2016", "SS2017"])),
                "composition": "" if index % 4 == 0 else str(rng.choice(["wool", "100% linen", "silk blend"])),
            }
            self.fields.append(change(fields) if change else fields)
            colours.append("" if index % 3 == 0 else str(rng.choice(COLOURS)))
        self.subcategory = np.array([fields.get("sub category", "") for fields in self.fields])
        self.extra_attributes, self.text_rewriter = {"colour": colours}, None

    def __len__(self):
        return len(self.row_product)

    def __getitem__(self, row):
        return {"image": torch.full((3, 32, 32), float(self.row_product[row])), "image_id": row}

    def collater(self, samples):
        return torch.utils.data.default_collate(samples)

    def photograph(self, row):
        return np.full((32, 32, 3), self.row_product[row], np.uint8)

    def product_fields(self, product):
        return self.fields[product]

    def value_words(self, product) -> list[str]:
        """Returns the words of all attribute values of a product."""
        words = [word for value in attribute_words(self.fields[product]).values() for word in value]
        return words + self.extra_attributes["colour"][product].split()


class BagOfWords(torch.nn.Module):
    """Embeds a text as the set of its words, and an image as noise or, with `knows`, as its product's values."""

    def __init__(self, dataset, knows: bool):
        super().__init__()
        self.dataset, self.knows = dataset, knows
        self.columns = {}
        self.noise = torch.randn(len(dataset.product_ids), WORDS, generator=torch.Generator().manual_seed(0))
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.device = torch.device("cpu")

    def extract_features(self, samples, mode):
        if mode == "text":
            rows = torch.stack([self._embed(text.split()) for text in samples["text_input"]])
            return BlipOutputFeatures(text_embeds_proj=rows[:, None])
        products = samples["image"][:, 0, 0, 0].int().tolist()
        if self.knows:
            rows = torch.stack([self._embed(self.dataset.value_words(product)) for product in products])
        else:
            rows = torch.nn.functional.normalize(self.noise[products], dim=-1)
        return BlipOutputFeatures(image_embeds_proj=rows[:, None])

    def _embed(self, words):
        row = torch.zeros(WORDS)
        row[[self.columns.setdefault(word, len(self.columns)) for word in words]] = 1
        return torch.nn.functional.normalize(row, dim=0)
