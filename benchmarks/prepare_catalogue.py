"""Compares preparing a catalogue of 100,000 products with only decoding its images once on all cores.

    python benchmarks/prepare_catalogue.py      # 100,000 products; minutes and 0.5 GB of disk
    python benchmarks/prepare_catalogue.py --products 5000

Each product has a JPEG of 128 x 128 pixels, a copy of one of a thousand images. Small images are a hard case, because
the relative overhead is largest. Each measurement runs in a separate process and reports wall time, the CPU time of all
processes, and the peak memory of the process itself.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = 1000
SIDE = 128


def make(folder: Path, products: int) -> None:
    """Writes the table shop.csv and the folder photos."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(min(PICTURES, products)):
        path = folder / f"picture{number}.jpg"
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)
        pictures.append(path.read_bytes())
    with open(folder / "shop.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "description", "image", "colour", "material"])
        for number in range(products):
            name = f"{number // 1000:03}/{number:06}.jpg"
            path = folder / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pictures[number % len(pictures)])
            colour, material = ("red", "blue", "green")[number % 3], ("wool", "silk")[number % 2]
            text = f"A {colour} shirt of {material}. " * 8
            writer.writerow([number, f"Shirt {number}", text, name, colour, material])


def decode(folder: Path) -> None:
    """Decodes every image, which is a lower bound for checking them."""
    from fashionfae_lavis.threads import all_cores
    from fashionfae_lavis.workers import in_workers

    paths = iter(sorted(str(path) for path in (folder / "photos").rglob("*.jpg")))
    for _ in in_workers(_decode_all, iter(lambda: list(islice(paths, 32)), []), all_cores()):
        pass


def _decode_all(paths: list[str]) -> None:
    for path in paths:
        with Image.open(path) as image:
            image.load()


def prepare(folder: Path) -> None:
    from fashionfae_lavis.prepare.catalogue import prepare_catalogue

    attributes = {"colour": "colour", "material": "material"}
    prepare_catalogue(folder / "shop.csv", folder / "photos", folder / "out", attributes=attributes)


def open_catalogue(folder: Path) -> None:
    from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue

    read_catalogue(folder / "out")


WAYS = {"decode": decode, "prepare": prepare, "open": open_catalogue}


def measure(way: str, folder: Path) -> dict:
    """Measures one of `WAYS` in this process."""
    clock = time.perf_counter()
    WAYS[way](folder)
    seconds = time.perf_counter() - clock
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
    return {"seconds": seconds, "cpu": cpu, "memory": own.ru_maxrss / 1024, "worker": workers.ru_maxrss / 1024}


def measure_in_process(way: str, folder: Path) -> dict:
    """Measures one of `WAYS` in a new process."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.folder)))
        return
    for products in (args.products // 10, args.products):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), products)
            measure_in_process("decode", Path(folder))  # fills the page cache
            results = {way: measure_in_process(way, Path(folder)) for way in WAYS}
        for way, result in results.items():
            print(
                f"{products:>7} {way:<8} {result['seconds']:>6.1f} s, {result['cpu']:>6.1f} of CPU, "
                f"{result['memory']:>5.0f} MB, {result['worker']:>4.0f} MB per worker",
                flush=True,
            )
        decoding, preparing = results["decode"], results["prepare"]
        print(
            f"{products:>7} products: preparing takes {preparing['seconds'] / decoding['seconds']:.2f} times the wall "
            f"time and {preparing['cpu'] / decoding['cpu']:.2f} times the CPU time of decoding."
        )


if __name__ == "__main__":
    main()
