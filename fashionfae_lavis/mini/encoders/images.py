"""Training of the image encoder that FashionFAE-mini starts from, in place of the paper's ViT trained on ImageNet.

It learns from pictures and labels, never from a product's text. It first learns to classify the garment and each
visible attribute. Then its tokens are aligned with the words of the text encoder, as in DeViSE (Frome et al., NeurIPS
2013).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.mini.encoders.optimise import optimise
from fashionfae_lavis.mini.fashiongen.attributes import VISIBLE, Product
from fashionfae_lavis.mini.fashiongen.drawing import choose_poses
from fashionfae_lavis.mini.fashiongen.words import GARMENT_NAMES, VALUE_WORDS
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.processors.images import shorter_side
from fashionfae_lavis.text.product_text import normalise

BATCH = 64
HIDDEN = {"back": ("neckline", "closure"), "detail": ("length",)}  # attributes that a pose does not show


def look_labels(products: list[Product]) -> tuple[dict[str, list[str]], Tensor]:
    """Labels the N pictures of these products, in the order of their file.

    Returns:
        The values of each of A attributes, including "sub category", and the index (N, A) of each picture's value, -100
        where the product lacks the attribute or the picture does not show it.
    """
    looks = [{**product.look(), "sub category": product.subcategory} for product in products]
    values = {name: sorted({look[name] for look in looks if name in look}) for name in (*VISIBLE, "sub category")}
    labels = [
        [
            values[name].index(look[name]) if name in look and name not in HIDDEN.get(pose, ()) else -100
            for name in values
        ]
        for look, product in zip(looks, products, strict=True)
        for pose in choose_poses(product)
    ]
    return values, torch.tensor(labels)


class Pictures:
    """Batches of crops of a file's images, which stay in memory because each is read several times.

    Args:
        file: the file of the pictures.
        processing: `resize`, `image_size`, `mean` and `std` of the image processor.
        held_out: share of products, at the end of the file, that are not trained on.
    """

    def __init__(self, file: FashionGenFile, processing: dict[str, Any], held_out: float = 0.02):
        rows = range(len(file.row_product))
        self.pixels = torch.from_numpy(
            np.stack([np.asarray(shorter_side(file.image(row), processing["resize"])) for row in rows])
        )
        is_test = torch.from_numpy(file.row_product) >= (1 - held_out) * len(file.product_ids)
        self.train_rows, self.test_rows = (torch.arange(len(rows))[chosen] for chosen in (~is_test, is_test))
        self.size, self.offsets = processing["image_size"], processing["resize"] - processing["image_size"] + 1
        self.mean, self.std = (torch.tensor(processing[name])[:, None, None] for name in ("mean", "std"))

    def batch(self) -> tuple[Tensor, Tensor]:
        """Draws random crops (B, 3, S, S), mirrored with probability 1/2; also returns their rows (B,) in the file."""
        chosen = self.train_rows[torch.randint(len(self.train_rows), (BATCH,))]
        return self._processed(torch.stack([self._crop(int(row)) for row in chosen])), chosen

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields centre crops (B, 3, S, S) of the held-out images, and their rows (B,)."""
        edge = self.offsets // 2
        for rows in self.test_rows.split(BATCH):
            pixels = self.pixels[rows, edge : edge + self.size, edge : edge + self.size]
            yield self._processed(pixels), rows

    def _crop(self, row: int) -> Tensor:
        top, left = torch.randint(self.offsets, (2,)).tolist()
        picture = self.pixels[row, top : top + self.size, left : left + self.size]
        return picture.flip(1) if torch.rand(()) < 0.5 else picture

    def _processed(self, pixels: Tensor) -> Tensor:
        return (pixels.permute(0, 3, 1, 2) / 255 - self.mean) / self.std


def train_image_encoder(
    encoder: ImageEncoder, pictures: Pictures, products: list[Product], updates: int
) -> dict[str, float]:
    """Trains the encoder to classify each attribute with a linear layer on the mean of all tokens.

    Returns:
        Accuracy (0..1) of each attribute on the held-out pictures.
    """
    values, labels = look_labels(products)
    heads = nn.ModuleList(nn.Linear(encoder.embed_dim, len(names)) for names in values.values())

    def loss_of_batch() -> Tensor:
        images, rows = pictures.batch()
        states = encoder(images).mean(1)
        wanted = labels[rows].T
        losses = [F.cross_entropy(head(states), w) for head, w in zip(heads, wanted, strict=True) if (w >= 0).any()]
        return sum(losses, start=torch.zeros(()))

    optimise(nn.ModuleList([encoder, heads]), loss_of_batch, updates, "image encoder", lr=2e-3)
    hits = np.zeros((2, len(values)))
    with torch.no_grad():
        for images, rows in pictures.test_batches():
            states = encoder(images).mean(1)
            for attribute, (head, wanted) in enumerate(zip(heads, labels[rows].T, strict=True)):
                correct = (head(states).argmax(1) == wanted) & (wanted >= 0)
                hits[:, attribute] += correct.sum().item(), (wanted >= 0).sum().item()
    return dict(zip(values, hits[0] / hits[1].clip(1), strict=True))


def word_embeddings(model: FashionFAE, values: dict[str, list[str]]) -> tuple[Tensor, Tensor]:
    """Computes the target of an image token for each attribute value that has words.

    Returns:
        Embeddings (V, D), the mean of the value's words at the input of the first layer, and columns (V, 2), the
        indices of the attribute and of the value in `values`.
    """
    garments = {name: normalise(f"{name} {' '.join(others)}") for name, others in GARMENT_NAMES.items()}
    bert, embeddings, columns = model.fusion_encoder, [], []
    token_type = bert.visual_embeddings.token_type_embeddings.weight[0]
    for attribute, (name, names) in enumerate(values.items()):
        for value, label in enumerate(names):
            words = VALUE_WORDS.get(name, garments)[label]
            if words:
                ids = torch.tensor(model.tokenizer(words, add_special_tokens=False)["input_ids"])
                embeddings.append(bert.normalise(bert.embeddings.word_embeddings(ids) + token_type).mean(0))
                columns.append((attribute, value))
    return torch.stack(embeddings).detach(), torch.tensor(columns)


def align_with_words(model: FashionFAE, pictures: Pictures, products: list[Product], updates: int) -> None:
    """Trains image encoder and visual projection so that each true word of a picture resembles one of its tokens.

    The score of a word is the logsumexp over the picture's tokens. The loss contrasts each true word with all false
    words. The text encoder does not change.
    """
    values, labels = look_labels(products)
    words, columns = word_embeddings(model, values)
    is_true = labels[:, columns[:, 0]] == columns[:, 1]  # (N, V)
    visual = model.fusion_encoder.visual_embeddings
    log_scale = nn.Parameter(torch.tensor(-2.0))  # scale of dot products of normalised states, whose length is sqrt(D)

    def loss_of_batch() -> Tensor:
        images, rows = pictures.batch()
        tokens = model.fusion_encoder.normalise(visual(model.fusion_tokens(images)))
        scores = torch.logsumexp(tokens @ words.T * log_scale.exp(), dim=1)
        true = is_true[rows]
        untrue = scores.masked_fill(true, float("-inf")).logsumexp(1, keepdim=True)
        return F.softplus(untrue - scores)[true].mean()

    trained = nn.ModuleList([model.image_encoder, visual.projection, nn.ParameterList([log_scale])])
    optimise(trained, loss_of_batch, updates, "alignment", lr=1e-3)
