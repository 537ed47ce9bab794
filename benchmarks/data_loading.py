"""Measures how fast FashionGen's images are read from HDF5, compared with the single steps of reading.

    python benchmarks/data_loading.py [--images 2000] [--batches 60]

Draws one FashionGen-Mini file (FashionGen's schema, 256 x 256 pixels, gzip) and visits its rows in random order, from
the page cache. Rates are images per wall-clock second, and per second of CPU time of all processes, which is less
affected by other programs on the machine:

    h5py loop      `file["input_image"][row]` in one process, nothing else
    decoding       decompression of a row's stored bytes by zlib, in one process
    transform      the training transform (resize 256, crop 224, mirror, normalise) of images in memory
    dataset        reading and transform, as the dataset builds its items, in one process
    loader         batches of 64 from the runner's training loader, with 2 workers and with none
"""

import argparse
import tempfile
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import torch

from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.products import ProductEvalDataset
from fashionfae_lavis.datasets.loaders import training_loader
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.hdf5_file import write_split
from fashionfae_lavis.processors import FashionImageTrainProcessor, FashionTextProcessor
from fashionfae_lavis.runners.data_order import EndlessBatches

BATCH = 64
SIDE = 256
VIEWS = 3  # per product, approximately


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
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fashiongen_256_256_train.h5"
        write_split(path, sample_products("train", args.images // VIEWS), SIDE, {})
        results = measure(path, args.batches)
    for name, (clock, cpu) in results.items():
        print(f"{name:<18} {clock:>6.0f} images/s {cpu:>6.0f} per second of CPU", flush=True)
    loader = results["loader, 2 workers"]
    for name in ("h5py loop", "decoding", "transform", "dataset"):
        print(
            f"The loader with 2 workers reads {loader[0] / results[name][0]:.2f} times as many images as '{name}' per "
            f"wall-clock second and {loader[1] / results[name][1]:.2f} times as many per second of CPU."
        )


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
    results["transform"] = rate(lambda: [train(image) for image in in_memory], len(in_memory))
    results["dataset"] = rate(lambda: [dataset[int(row)] for row in order], len(order))
    for workers in (0, 2):
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
