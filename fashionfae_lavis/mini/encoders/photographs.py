"""Training of FashionFAE-mini's image encoder on photographs in class folders.

The encoder already knows the garments, colours and patterns of drawn clothes. It learns folds, shadows and backgrounds
from the classes of a small set of photographs, with strong augmentation.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.encoders.augmentation import crop, erase, jitter
from fashionfae_lavis.mini.encoders.optimise import optimise
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.photographs import FORMATS, read_photograph
from fashionfae_lavis.processors.images import shorter_side

BATCH = 128
MIXUP = 0.8  # both parameters of the beta distribution
SUFFIXES = tuple(f".{name.lower()}" for name in (*FORMATS, "JPG"))


class ClassFolders:
    """Photographs of class folders, `<folder>/<class>/<file>`, which stay in memory as squares.

    Args:
        folder: the folder.
        processing: `image_size`, `resize`, `mean` and `std` of the image processor.
        device: where the photographs stay.

    Raises:
        UserError: the folder has no two class folders with photographs, or a photograph cannot be read.
    """

    def __init__(self, folder: Path, processing: dict[str, Any], device: torch.device):
        files = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
        self.classes = sorted({path.parent.name for path in files})
        if len(self.classes) < 2:
            raise UserError(f"{folder} must have a folder of photographs for each of at least two classes.")
        self.labels = torch.tensor([self.classes.index(path.parent.name) for path in files], device=device)
        self.size = processing["image_size"]
        self.side = round(self.size / 0.7)  # more pixels than the model sees, because crops are enlarged
        squares = [np.asarray(_centre(path, self.side)) for path in tqdm(files, desc="photographs", mininterval=1)]
        self.pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).to(device)
        self.zoom = self.size / processing["resize"]  # side of the evaluation's centre crop, as a share
        self.mean, self.std = (torch.tensor(processing[name], device=device)[:, None, None] for name in ("mean", "std"))

    def batch(self) -> tuple[Tensor, Tensor]:
        """Draws augmented photographs (B, 3, S, S) and their labels (B,)."""
        rows = torch.randint(len(self.labels), (BATCH,), device=self.labels.device)
        images = jitter(crop(self.pixels[rows].float() / 255, self.size))
        return erase((images - self.mean) / self.std), self.labels[rows]

    def centre(self, rows: Tensor) -> Tensor:
        """Returns the centre crops (B, 3, S, S) of these photographs."""
        edge = round(self.side * (1 - self.zoom) / 2)
        pixels = self.pixels[rows, :, edge : self.side - edge, edge : self.side - edge].float() / 255
        return (F.interpolate(pixels, self.size, mode="bilinear", antialias=True) - self.mean) / self.std


def train_on_photographs(encoder: ImageEncoder, folders: ClassFolders, updates: int) -> nn.Linear:
    """Trains the encoder and a linear layer on the mean of all tokens to classify photographs and mixtures of two.

    The mixtures are those of mixup (Zhang et al., ICLR 2018).

    Returns:
        The linear layer, which `accuracy` needs.
    """
    device = folders.pixels.device
    head = nn.Linear(encoder.embed_dim, len(folders.classes), device=device)

    def loss_of_batch() -> Tensor:
        images, labels = folders.batch()
        share = torch.distributions.Beta(MIXUP, MIXUP).sample().item()
        logits = head(encoder(share * images + (1 - share) * images.flip(0)).mean(1))
        losses = [F.cross_entropy(logits, wanted, label_smoothing=0.1) for wanted in (labels, labels.flip(0))]
        return share * losses[0] + (1 - share) * losses[1]

    optimise(nn.ModuleList([encoder, head]), loss_of_batch, updates, "photographs", lr=1e-3, weight_decay=0.05)
    return head


@torch.no_grad()
def accuracy(encoder: ImageEncoder, head: nn.Linear, folders: ClassFolders) -> float:
    """Returns the share of photographs whose class has the greatest logit."""
    rows = torch.arange(len(folders.labels), device=folders.labels.device)
    found = torch.cat([head(encoder(folders.centre(part)).mean(1)).argmax(1) for part in rows.split(BATCH)])
    return (found == folders.labels).float().mean().item()


def _centre(path: Path, side: int) -> Image.Image:
    image = shorter_side(read_photograph(path), side)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
