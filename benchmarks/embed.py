"""Compares embedding a folder of photographs with only decoding them.

    python benchmarks/embed.py                                # 2,000 drawn photographs of 800 x 1,000 pixels
    python benchmarks/embed.py --model clip:ViT-B-32 --device cuda
    python benchmarks/embed.py --images photos --model output/.../checkpoint_last.pth

Prints three rates, in photographs per second from the page cache, and their ratios:

    decoding       the worker processes of `fashionfae embed` decode, resize and normalise; no model
    model          the model embeds batches in memory
    embedding      `fashionfae embed`: both at once, with the files it writes
"""

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.datasets.loaders import evaluation_loader
from fashionfae_lavis.search.embedding import BATCH, Photographs, decoding_workers, embed_products
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.products import read_products

SIZE = (800, 1000)
PICTURES = 100  # different ones; the others are copies


def make(folder: Path, count: int) -> None:
    """Writes `count` JPEG files."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(min(PICTURES, count)):
        path = folder / f"{number:06}.jpg"
        coarse = Image.fromarray(rng.integers(0, 255, (20, 16, 3), dtype=np.uint8))
        coarse.resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        pictures.append(path.read_bytes())
    for number in range(len(pictures), count):
        (folder / f"{number:06}.jpg").write_bytes(pictures[number % len(pictures)])


def rates(encoder: Encoder, folder: Path, out: Path) -> dict[str, float]:
    """Returns the photographs per second of each row in the list above."""
    products = read_products(folder)
    loader = evaluation_loader(
        Photographs(products.folder, products.images, encoder.image_processor),
        BATCH,
        decoding_workers(),
        encoder.device.type == "cuda",
    )
    for path in products.images:
        (products.folder / path).read_bytes()  # fills the page cache
    batches = [batch.images for batch in islice(loader, 8)]
    encoder.embed_processed(batches[0])
    found = {}
    start = time.perf_counter()
    for _ in loader:
        pass
    found["decoding"] = len(products) / (time.perf_counter() - start)
    start = time.perf_counter()
    for batch in batches:
        encoder.embed_processed(batch)
    found["model"] = sum(map(len, batches)) / (time.perf_counter() - start)
    start = time.perf_counter()
    embed_products(encoder, products, out / "vectors.parquet")
    found["embedding"] = len(products) / (time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=int, default=2000, help="photographs to draw (default 2000)")
    parser.add_argument("--images", type=Path, help="a folder of photographs instead of drawn ones")
    parser.add_argument("--model", default="fashionfae", help="as in `fashionfae embed` (default fashionfae)")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    encoder = Encoder.open(args.model, args.device)
    with tempfile.TemporaryDirectory() as folder:
        if args.images is None:
            make(Path(folder), args.photographs)
        found = rates(encoder, args.images or Path(folder), Path(folder) / "out")
    for name, rate in found.items():
        print(f"{name:<10} {rate:>8.0f} photographs per second")
    decoding, model, embedding = found.values()
    print(
        f"With {decoding_workers()} worker processes on {encoder.device}, embedding reaches {embedding / decoding:.2f} "
        f"of the rate of decoding alone and {embedding / model:.2f} of that of the model alone."
    )


if __name__ == "__main__":
    main()
