"""Measures memory and time of an ITC update by gradient caching, next to one that keeps all activations.

    python benchmarks/itc_cache.py                                         # the paper's size: about 20 minutes
    python benchmarks/itc_cache.py --size tiny --plain 32 --batch 256 --chunk 8     # a test of this program; a minute

An update computes the loss, the gradients and AdamW's step of one batch. Images and texts are those of step_time.py.
Dropout is on, as in training. `plain` keeps the activations of `--plain` products. `cached` embeds the same batch, and
one of `--batch` products, in chunks of `--chunk`, as `run.grad_cache` does with this `run.batch_size_train`.

Each row is one update in a new process. The memory is its peak (VmHWM), which includes Python, weights, gradients, the
optimizer's state and the batch; `start` is what the process held before the update, without gradients and optimizer
state. `ratio` is the time for a product relative to the plain update.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from step_time import SIZES, make_batch, make_fashionfae, model_config


def kilobytes(name: str) -> int:
    """Reads an amount of memory of this process, such as VmHWM, from /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(batch_size: int, chunk: int | None, args) -> dict:
    """Measures one update: {"seconds": ..., "start": GB, "peak": GB, "loss": ...}."""
    import torch
    from omegaconf import OmegaConf

    from fashionfae_lavis.runners.optimizers import build_optimizer

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = make_fashionfae(args.size).train()
    model.itc_chunk = chunk
    optimizer = build_optimizer(model, OmegaConf.create({"init_lr": 1e-5, "weight_decay": 1e-4}))
    batch = {**make_batch(batch_size, model_config(args.size).image_size), "objectives": ["itc"]}
    start, clock = kilobytes("VmRSS"), time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=args.format == "bf16"):
        loss = model(batch)["loss"]
    loss.backward()
    optimizer.step()
    seconds = time.perf_counter() - clock
    peak = kilobytes("VmHWM")
    return {"seconds": seconds, "start": start * 1024 / 1e9, "peak": peak * 1024 / 1e9, "loss": float(loss)}


def in_a_process(batch_size: int, chunk: int | None, args) -> dict:
    """Runs `measure` in a new process."""
    command = [sys.executable, "-W", "ignore", __file__, "--size", args.size, "--format", args.format]
    command += ["--threads", str(args.threads), "--row", str(batch_size), str(chunk or 0)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--plain", type=int, default=64, help="products of the plain batch")
    parser.add_argument("--batch", type=int, default=512, help="products of the large batch")
    parser.add_argument("--chunk", type=int, default=16, help="products that are embedded at a time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--format", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--row", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(json.dumps(measure(args.row[0], args.row[1] or None, args)))
        return
    print(f"{args.size}, {args.format}, {args.threads} thread(s), chunks of {args.chunk}")
    print(f"{'':>8} {'products':>9} {'seconds':>9} {'ratio':>9} {'start, GB':>10} {'peak, GB':>9} {'loss':>7}")
    plain = None
    for size, chunk in ((args.plain, None), (args.plain, args.chunk), (args.batch, args.chunk)):
        found = in_a_process(size, chunk, args)
        plain = plain or found["seconds"] / size
        row = f"{found['seconds']:>9.2f} {found['seconds'] / size / plain:>9.2f} {found['start']:>10.2f}"
        name = "cached" if chunk else "plain"
        print(f"{name:>8} {size:>9} {row} {found['peak']:>9.2f} {found['loss']:>7.3f}", flush=True)


if __name__ == "__main__":
    main()
