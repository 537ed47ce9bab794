"""The image encoder that FashionFAE-mini starts from, as the paper's starts from a ViT that has seen ImageNet.

It learns from pictures and labels, never from a product's text: first to name the garment and each visible attribute,
then to name them in the words of the text encoder (as DeViSE does: Frome et al., NeurIPS 2013).
"""

from collections.abc import Iterator

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
HIDDEN = {"back": ("neckline", "closure"), "detail": ("length",)}  # what cannot be seen in a pose


def look_labels(products: list[Product]) -> tuple[dict[str, list[str]], Tensor]:
    """What there is to name on the N pictures of these products, in the order of their file.

    Returns:
        the values of each of A attributes, "sub category" among them, and the number of each picture's value (N, A),
        -100 where the product does not have the attribute or the picture does not show it.
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
    """All images of a file, in memory as each is read several times: batches of crops, processed as `look` says.

    Args:
        look: `resize`, `image_size`, `mean` and `std` of the image processor.
        tested: share of the products, the last ones, that are not trained on.
    """

    def __init__(self, file: FashionGenFile, look: dict, tested: float = 0.02):
        rows = range(len(file.row_product))
        self.pixels = torch.from_numpy(
            np.stack([np.asarray(shorter_side(file.image(row), look["resize"])) for row in rows])
        )
        held_out = torch.from_numpy(file.row_product) >= (1 - tested) * len(file.product_ids)
        self.train_rows, self.test_rows = (torch.arange(len(rows))[chosen] for chosen in (~held_out, held_out))
        self.size, self.room = look["image_size"], look["resize"] - look["image_size"] + 1
        self.mean, self.std = (torch.tensor(look[name])[:, None, None] for name in ("mean", "std"))

    def batch(self) -> tuple[Tensor, Tensor]:
        """BATCH random crops (B, 3, S, S), half of them mirrored, and their rows in the file (B,)."""
        chosen = self.train_rows[torch.randint(len(self.train_rows), (BATCH,))]
        return self._processed(torch.stack([self._crop(int(row)) for row in chosen])), chosen

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same of the held-out images, cut from the middle."""
        edge = self.room // 2
        for rows in self.test_rows.split(BATCH):
            pixels = self.pixels[rows, edge : edge + self.size, edge : edge + self.size]
            yield self._processed(pixels), rows

    def _crop(self, row: int) -> Tensor:
        top, left = torch.randint(self.room, (2,)).tolist()
        picture = self.pixels[row, top : top + self.size, left : left + self.size]
        return picture.flip(1) if torch.rand(()) < 0.5 else picture

    def _processed(self, pixels: Tensor) -> Tensor:
        return (pixels.permute(0, 3, 1, 2) / 255 - self.mean) / self.std


def train_image_encoder(
    encoder: ImageEncoder, pictures: Pictures, products: list[Product], updates: int
) -> dict[str, float]:
    """Name the attributes from the mean of all tokens, with a linear layer each.

    Returns:
        accuracy per attribute (0..1) on the held-out pictures.
    """
    values, labels = look_labels(products)
    heads = nn.ModuleList(nn.Linear(encoder.embed_dim, len(names)) for names in values.values())

    def loss_of_batch() -> Tensor:
        images, rows = pictures.batch()
        states = encoder(images).mean(1)
        wanted = labels[rows].T
        losses = [F.cross_entropy(head(states), w) for head, w in zip(heads, wanted, strict=True) if (w >= 0).any()]
        return sum(losses)

    optimise(nn.ModuleList([encoder, heads]), loss_of_batch, updates, "image encoder", lr=2e-3)
    hits = np.zeros((2, len(values)))
    with torch.no_grad():
        for images, rows in pictures.test_batches():
            states = encoder(images).mean(1)
            for place, (head, wanted) in enumerate(zip(heads, labels[rows].T, strict=True)):
                right = (head(states).argmax(1) == wanted) & (wanted >= 0)
                hits[:, place] += right.sum().item(), (wanted >= 0).sum().item()
    return dict(zip(values, hits[0] / hits[1].clip(1), strict=True))


def word_embeddings(model: FashionFAE, values: dict[str, list[str]]) -> tuple[Tensor, Tensor]:
    """What an image token that says a value is to look like, for each value that has words.

    Returns:
        embeddings (V, D): the mean of its words, each as it enters the first layer; and columns (V, 2): the number of
        its attribute and of the value in `values`.
    """
    garments = {name: normalise(f"{name} {' '.join(others)}") for name, others in GARMENT_NAMES.items()}
    bert, embeddings, columns = model.fusion_encoder, [], []
    place = bert.visual_embeddings.token_type_embeddings.weight[0]
    for attribute, (name, names) in enumerate(values.items()):
        for value, label in enumerate(names):
            words = VALUE_WORDS.get(name, garments)[label]
            if words:
                ids = torch.tensor(model.tokenizer(words, add_special_tokens=False)["input_ids"])
                embeddings.append(bert.normalise(bert.embeddings.word_embeddings(ids) + place).mean(0))
                columns.append((attribute, value))
    return torch.stack(embeddings).detach(), torch.tensor(columns)


def align_with_words(model: FashionFAE, pictures: Pictures, products: list[Product], updates: int) -> None:
    """Train image encoder and visual projection: some token of a picture is to look like each word that is true of it.

    A picture says a word as much as the loudest of its tokens (logsumexp); each true word is set against all that are
    not true. The text encoder does not change.
    """
    values, labels = look_labels(products)
    words, columns = word_embeddings(model, values)
    true = labels[:, columns[:, 0]] == columns[:, 1]  # (N, V)
    visual = model.fusion_encoder.visual_embeddings
    log_scale = nn.Parameter(torch.tensor(-2.0))  # of a dot product of normalised states, of length sqrt(D)

    def loss_of_batch() -> Tensor:
        images, rows = pictures.batch()
        tokens = model.fusion_encoder.normalise(visual(model.fusion_tokens(images)))
        scores = torch.logsumexp(tokens @ words.T * log_scale.exp(), dim=1)
        said = true[rows]
        untrue = scores.masked_fill(said, float("-inf")).logsumexp(1, keepdim=True)
        return F.softplus(untrue - scores)[said].mean()

    trained = nn.ModuleList([model.image_encoder, visual.projection, nn.ParameterList([log_scale])])
    optimise(trained, loss_of_batch, updates, "alignment", lr=1e-3)
