"""Measures how fast images are read from FashionGen's HDF5 and a catalogue's JPEG files, compared with single steps.

    python benchmarks/data_loading.py [--images 2000] [--batches 60] [--catalogue FOLDER]

Draws one FashionGen-Mini file (FashionGen's schema, 256 x 256 pixels, gzip) and visits its rows in random order, from
the page cache. Rates are images per wall-clock second, and per second of CPU time of all processes, which is less
affected by other programs on the machine:

    h5py loop      `file["input_image"][row]` in one process, nothing else
    decoding       decompression of a row's stored bytes by zlib, in one process
    image          `FashionGenFile.image(row)` in one process: ISA-L in place of zlib
    transform      the training transform (resize 256, crop 224, mirror, normalise) of images in memory
    dataset        reading and transform, as the dataset builds its items, in one process
    loader         batches of 64 from the runner's training loader, with 2 workers and with none

Then it reads the training photographs of a prepared catalogue, at the size of the mini model (112) and of the base
model (224). Without `--catalogue` it draws photographs of 256 x 256 pixels.

    decoding       Pillow's decoding of JPEG files in memory, in one process, nothing else
    photograph     reading and checking of a file, and decoding
    transform      the training transform (random crop, mirror, erase, normalise) of images in memory
    dataset        photograph, transform and text, as the dataset builds its items, in one process
    loader         batches of 64 from the runner's training loader, with 0, 1 and 2 workers
"""

import argparse
import io
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image

from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile, read_catalogue
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.products import ProductDataset, ProductEvalDataset
from fashionfae_lavis.datasets.loaders import training_loader
from fashionfae_lavis.datasets.protocols import Split
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.hdf5_file import write_split
from fashionfae_lavis.processors import FashionImageTrainProcessor, FashionPhotographProcessor, FashionTextProcessor
from fashionfae_lavis.runners.data_order import EndlessBatches
from fashionfae_lavis.text.product_text import FREE_TEXT

BATCH = 64
SIDE = 256
VIEWS = 3  # per product, approximately
PHOTOGRAPHS = {"mean": (0.76, 0.72, 0.70), "std": (0.28, 0.29, 0.31)}


def cpu_seconds() -> float:
    """Returns the CPU time in seconds of this process and its children, including running children."""
    total = time.process_time()
    for child in torch.multiprocessing.active_children():
        stat = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(stat[11]) + int(stat[12])) / 100
    return total


def rate(work, images: int) -> tuple[float, float]:
    """Returns images per wall-clock second and per second of CPU time."""
    clock, cpu = time.perf_counter(), cpu_seconds()
    work()
    return images / (time.perf_counter() - clock), images / (cpu_seconds() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="images to draw and visit (default 2000)")
    parser.add_argument("--batches", type=int, default=60, help=f"batches of {BATCH} images to load (default 60)")
    parser.add_argument("--catalogue", type=Path, help="folder of a prepared catalogue of JPEG files")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "fashiongen_256_256_train.h5"
        write_split(path, sample_products("train", args.images // VIEWS), SIDE, {})
        print("FashionGen, 224 pixels")
        show(measure(path, args.batches), ("h5py loop", "decoding", "image", "transform", "dataset"))
        products = read_catalogue(args.catalogue)["train"] if args.catalogue else draw_catalogue(path, folder)
        for image_size in (112, 224):
            print(f"\ncatalogue, {image_size} pixels")
            results = measure_catalogue(products, image_size, args.images, args.batches)
            show(results, ("decoding", "photograph", "transform", "dataset"))


def show(results: dict[str, tuple[float, float]], steps: Sequence[str]) -> None:
    """Prints the rates, and those of the loader with 2 workers as ratios to these steps."""
    for name, (clock, cpu) in results.items():
        print(f"{name:<18} {clock:>6.0f} images/s {cpu:>6.0f} per second of CPU", flush=True)
    loader = results["loader, 2 workers"]
    for name in steps:
        print(
            f"The loader with 2 workers reads {loader[0] / results[name][0]:.2f} times as many images as '{name}' per "
            f"wall-clock second and {loader[1] / results[name][1]:.2f} times as many per second of CPU."
        )


def draw_catalogue(path: Path, folder: Path) -> CatalogueFile:
    """Writes the images of an HDF5 file as JPEG; returns them as a catalogue with a product for each image."""
    file = FashionGenFile(path)
    products = []
    for row, product in enumerate(file.row_product):
        Image.fromarray(file.image(row)).save(folder / f"{row}.jpg", quality=90)
        fields = {name: values[product] for name, values in file.texts.items()}
        texts = {name: fields.pop(name) for name in FREE_TEXT}
        products.append({"row": row, "images": [f"{row}.jpg"], "fields": fields, **texts})
    return CatalogueFile(folder, folder, list(products[0]["fields"]), products)


def measure_catalogue(
    file: CatalogueFile, image_size: int, images: int, batches: int
) -> dict[str, tuple[float, float]]:
    """Returns {name: rate} for each step in the second list above."""
    train = FashionPhotographProcessor(image_size, **PHOTOGRAPHS)
    file.enough = train.enough
    dataset = ProductDataset(file, train, FashionTextProcessor())
    order = np.random.default_rng(0).permutation(len(dataset))[:images]
    stored = [(file._folder / file._images[row]).read_bytes() for row in order]
    in_memory = [file.image(int(row)) for row in order[:500]]
    results = {
        "decoding": rate(lambda: [Image.open(io.BytesIO(data)).load() for data in stored], len(stored)),
        "photograph": rate(lambda: [file.image(int(row)) for row in order], len(order)),
        "transform": rate(lambda: [train(image) for image in in_memory], len(in_memory)),
        "dataset": rate(lambda: [dataset[int(row)] for row in order], len(order)),
    }
    return results | loader_rates(dataset, batches, (0, 1, 2))


def measure(path: Path, batches: int) -> dict[str, tuple[float, float]]:
    """Returns {name: rate} for each step in the list above."""
    train = FashionImageTrainProcessor(224, 256)
    dataset = ProductEvalDataset(FashionGenFile(path), train, FashionTextProcessor())
    order = np.random.default_rng(0).permutation(len(dataset))
    results = {}
    with h5py.File(path) as file:
        images = file["input_image"]
        stored = [images.id.read_direct_chunk((int(row), 0, 0, 0))[1] for row in order]
        in_memory = [images[row] for row in order[:500]]
        results["h5py loop"] = rate(lambda: [images[row] for row in order], len(order))
    results["decoding"] = rate(lambda: [zlib.decompress(data) for data in stored], len(stored))
    results["image"] = rate(lambda: [dataset.file.image(int(row)) for row in order], len(order))
    results["transform"] = rate(lambda: [train(image) for image in in_memory], len(in_memory))
    results["dataset"] = rate(lambda: [dataset[int(row)] for row in order], len(order))
    return results | loader_rates(dataset, batches, (0, 2))


def loader_rates(dataset: Split, batches: int, counts: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Returns {name: rate} of the runner's training loader with each of these numbers of workers."""
    results = {}
    for workers in counts:
        loader = training_loader(dataset, EndlessBatches(len(dataset), BATCH, 0), 0, workers, False)
        batch = iter(loader).__next__
        batch()  # starts the workers
        results[f"loader, {workers} workers"] = rate(
            lambda take=batch: [take() for _ in range(batches)], batches * BATCH
        )
        del batch
    return results


if __name__ == "__main__":
    main()
