"""Measures how time and memory grow with the number of products, of images a product, of the batch and of processes.

    python benchmarks/scaling.py                           # about a quarter of an hour, 1 GB of disk
    python benchmarks/scaling.py --only batch processes
    python benchmarks/scaling.py --only prepare open --products 1000000       # the largest catalogue; 10 GB of disk

    prepare      `fashionfae prepare` for a table with photographs, those of prepare_catalogue.py
    open         opening the result, as a training does
    full test    recalls of generated embeddings of width 768, with one image a product
    images       the same for 4,000 products with several images each
    batch        an update of the mini model, the mean of the steps of its recipe, by the number of products in it
    processes    an update of the main job under torchrun (mean of 16), with 32 products and one thread a process

Each measurement runs in a new process. Memory is the growth of that process's peak over the start of the measurement
(for `prepare` without its workers, for `processes` not measured). `exponent` compares with the row above: 1 means in
proportion, 0 independent.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import prepare_catalogue
from retrieval_metrics import generate, peak_memory
from step_time import STEPS, make_batch

PRODUCTS_WITH_SEVERAL_IMAGES = 4_000
UPDATES = 16


def prepare(products: int) -> Callable[[], object]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["SCALING"]))
    prepare_catalogue.make(folder, products)
    return lambda: prepare_catalogue.prepare(folder)


def open_catalogue(products: int) -> Callable[[], object]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["SCALING"]))
    prepare_catalogue.make(folder, products)
    prepare_catalogue.measure_in_process("prepare", folder)
    return lambda: prepare_catalogue.open_catalogue(folder)


def full_test(products: int, images_each: int = 1) -> Callable[[], object]:
    from fashionfae_lavis.metrics.retrieval import full_test

    images, texts = generate(products * images_each)[0], generate(products)[1]
    owner = np.arange(len(images)) % products
    full_test(images[:2], texts[:2], owner[:2], np.arange(2))  # loads what it needs
    return lambda: full_test(images, texts, owner, np.arange(products))


def images(count: int) -> Callable[[], object]:
    return full_test(PRODUCTS_WITH_SEVERAL_IMAGES, count)


def batch(products: int) -> Callable[[], object]:
    from omegaconf import OmegaConf

    from fashionfae_lavis.models import FashionFAE
    from fashionfae_lavis.runners.optimizers import build_optimizer

    model = FashionFAE.from_pretrained("mini").train()
    optimizer = build_optimizer(model, OmegaConf.create({"init_lr": 1e-5}))

    def update(samples: dict, objectives: list[str]) -> None:
        model({**samples, "objectives": ["itc", *objectives], "mask_seed": 0})["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def steps(samples: dict) -> None:
        for name, objectives in STEPS.items():
            if name != "itc":
                update(samples, objectives)

    steps(make_batch(2, model.image_size))
    samples = make_batch(products, model.image_size)
    return lambda: steps(samples)


def processes(count: int) -> Callable[[], object]:
    torchrun = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", f"--nproc-per-node={count}"]
    recipe = ["-m", "lavis.train", "--cfg-path", "projects/fashionfae/pretrain.yaml", "--options"]
    options = [f"run.max_iters={UPDATES}", f"run.iters_per_inner_epoch={UPDATES}", "run.test_splits=[]"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[1]
    folder = tempfile.mkdtemp(dir=os.environ["SCALING"])

    def train() -> float:
        from fashionfae_lavis.checkpoints import read_checkpoint

        command = [*torchrun, *recipe, f"run.output_dir={folder}", *options]
        subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
        (checkpoint,) = Path(folder).glob("*/checkpoint_last.pth")
        return float(read_checkpoint(checkpoint)["seconds"])

    return train


class Growth(NamedTuple):
    """What grows.

    Attributes:
        build: returns the function to measure for a size. If that returns a number, it is the seconds.
        sizes: the sizes to measure.
        unit: what a size counts.
        divisor: measured seconds are those of this many repetitions.
    """

    build: Callable[[int], Callable[[], object]]
    sizes: tuple[int, ...]
    unit: str
    divisor: int = 1


GROWTHS = {
    "prepare": Growth(prepare, (1_000, 10_000, 100_000), "products"),
    "open": Growth(open_catalogue, (1_000, 10_000, 100_000), "products"),
    "full test": Growth(full_test, (1_000, 3_200, 10_000, 32_000), "products"),
    "images": Growth(images, (1, 2, 4, 8), "images a product"),
    "batch": Growth(batch, (8, 16, 32, 64, 128), "products", len(STEPS) - 1),
    "processes": Growth(processes, (1, 2), "processes", UPDATES),
}


def measure(name: str, size: int) -> dict[str, float]:
    """Measures one size in this process: {"seconds": ..., "memory": GB}."""
    growth = GROWTHS[name]
    run = growth.build(size)
    before, clock = peak_memory(), time.perf_counter()
    own = run()
    seconds = own if isinstance(own, float) else time.perf_counter() - clock
    return {"seconds": seconds / growth.divisor, "memory": peak_memory() - before}


def in_a_process(name: str, size: int) -> dict[str, float]:
    """Runs `measure` in a new process, whose files are deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", __file__, "--row", name, str(size)]
        environment = {**os.environ, "SCALING": folder}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def exponent(before: float, after: float, growth: float) -> str:
    """Returns the exponent of a power law between two sizes whose ratio is `growth`; "-" without measurable values."""
    return f"{math.log(after / before) / math.log(growth):.2f}" if min(before, after) > 1e-3 else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=GROWTHS, default=list(GROWTHS), help="what to measure")
    parser.add_argument("--products", type=int, help="a further, larger number of products for prepare and open")
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(json.dumps(measure(args.row[0], int(args.row[1]))))
        return
    print(f"{'':<12} {'size':>9} {'':<17} {'seconds':>9} {'exponent':>9} {'GB':>7} {'exponent':>9}")
    for name in args.only:
        growth, before, smaller = GROWTHS[name], None, 0
        more = (args.products,) if args.products and name in ("prepare", "open") else ()
        for size in (*growth.sizes, *more):
            found = in_a_process(name, size)
            time_exponent, memory_exponent = (
                exponent(before[key], found[key], size / smaller) if before else "" for key in ("seconds", "memory")
            )
            row = f"{found['seconds']:>9.2f} {time_exponent:>9} {found['memory']:>7.2f} {memory_exponent:>9}"
            print(f"{name:<12} {size:>9,} {growth.unit:<17} {row}", flush=True)
            before, smaller = found, size


if __name__ == "__main__":
    main()
