"""The image encoder that FashionFAE-mini starts from, as the paper's starts from a ViT that has seen ImageNet.

    python -m fashionfae_lavis.models.mini_vit FILE.safetensors

draws 12,000 products of another seed than FashionGen-Mini's, none of which looks like one of its validation products,
and trains the image encoder to name what can be seen of them: the garment and each visible attribute. It sees pictures
and labels only, no product's text. The file goes into `model.pretrained`; all else of a model then starts anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from fashionfae_lavis.datasets.builders.cache import cache_folder
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.fashiongen_mini import FILE_NAMES, prepare
from fashionfae_lavis.datasets.fashiongen_mini.attributes import VISIBLE, Product, sample_products
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.checkpoints import save_safetensors
from fashionfae_lavis.models.encoders import IMAGE_ENCODER
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.processors.images import shorter_side
from fashionfae_lavis.runners.optimizers import build_optimizer, build_schedule

SEED = 1  # FashionGen-Mini's is 0
PRODUCTS = 12_000
BATCH = 64
UPDATES = 3500
RUN = {
    "init_lr": 2e-3,
    "beta2": 0.98,
    "weight_decay": 0.01,
    "lr_sched": "linear_warmup_cosine_iter",
    "warmup_steps": 100,
}


def look_labels(products: list[Product]) -> tuple[dict[str, list[str]], Tensor]:
    """What there is to name on the pictures of P products.

    Returns:
        the values of each of A attributes, "sub category" among them, and the number of each product's value (P, A),
        -100 where it does not have the attribute.
    """
    seen = [{**product.look(), "sub category": product.subcategory} for product in products]
    values = {name: sorted({look[name] for look in seen if name in look}) for name in (*VISIBLE, "sub category")}
    labels = [[values[name].index(look[name]) if name in look else -100 for name in values] for look in seen]
    return values, torch.tensor(labels)


def optimise(module: nn.Module, loss_of_batch, updates: int) -> None:
    """`updates` steps of AdamW on `module`, each on `loss_of_batch()`; what is drawn depends on SEED only."""
    torch.manual_seed(SEED)
    run = OmegaConf.create(RUN)
    optimizer = build_optimizer(module, run)
    schedule = build_schedule(optimizer, run, updates)
    interval = 0.1 if sys.stderr.isatty() else 10
    with tqdm(range(updates), desc="image encoder", mininterval=interval) as bar:
        for update in bar:
            schedule.step(update)
            loss = loss_of_batch()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)


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
        self.product = torch.from_numpy(file.row_product)
        held_out = self.product >= (1 - tested) * len(file.product_ids)
        self.train_rows, self.test_rows = (torch.arange(len(rows))[chosen] for chosen in (~held_out, held_out))
        self.size, self.room = look["image_size"], look["resize"] - look["image_size"] + 1
        self.mean, self.std = (torch.tensor(look[name])[:, None, None] for name in ("mean", "std"))

    def batch(self) -> tuple[Tensor, Tensor]:
        """BATCH random crops (B, 3, S, S), half of them mirrored, and the index of their products (B,)."""
        chosen = self.train_rows[torch.randint(len(self.train_rows), (BATCH,))]
        return self._processed(torch.stack([self._crop(int(row)) for row in chosen])), self.product[chosen]

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same of the held-out images, cut from the middle."""
        edge = self.room // 2
        for rows in self.test_rows.split(BATCH):
            pixels = self.pixels[rows, edge : edge + self.size, edge : edge + self.size]
            yield self._processed(pixels), self.product[rows]

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
        images, product = pictures.batch()
        states = encoder(images).mean(1)
        wanted = labels[product].T
        losses = [F.cross_entropy(head(states), w) for head, w in zip(heads, wanted, strict=True) if (w >= 0).any()]
        return sum(losses)

    optimise(nn.ModuleList([encoder, heads]), loss_of_batch, updates)
    hits = np.zeros((2, len(values)))
    with torch.no_grad():
        for images, product in pictures.test_batches():
            states = encoder(images).mean(1)
            for place, (head, wanted) in enumerate(zip(heads, labels[product].T, strict=True)):
                right = (head(states).argmax(1) == wanted) & (wanted >= 0)
                hits[:, place] += right.sum().item(), (wanted >= 0).sum().item()
    return dict(zip(values, hits[0] / hits[1].clip(1), strict=True))


def main(path: Path, products: int = PRODUCTS, updates: int = UPDATES) -> dict[str, float]:
    """Draw, train and write the image encoder; returns what `train_image_encoder` does."""
    torch.manual_seed(SEED)
    data = cache_folder() / "fashiongen_mini_vit"
    prepare(data, train_products=products, validation_products=1, seed=SEED)
    config = FashionFAE.config_for("mini")
    model = FashionFAE.from_config({**config.model, "load_pretrained": False})
    processing = OmegaConf.to_container(config.preprocess.vis_processor.train)
    pictures = Pictures(FashionGenFile(data / FILE_NAMES["train"]), processing)
    accuracy = train_image_encoder(model.image_encoder, pictures, sample_products("train", products, SEED), updates)
    weights = {f"image_encoder.{name}": tensor for name, tensor in model.image_encoder.state_dict().items()}
    save_safetensors(weights, {"model": {"arch": IMAGE_ENCODER}}, path)
    return accuracy


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m fashionfae_lavis.models.mini_vit FILE.safetensors")
    try:
        for name, share in main(Path(sys.argv[1])).items():
            print(f"{name:<14}{100 * share:5.1f} % of held-out pictures named rightly")
    except UserError as error:
        sys.exit(f"error: {error}")
