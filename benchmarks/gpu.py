"""Measures training on one GPU: steps, data loading, and whether GPU, resumed and torchrun runs agree.

    python benchmarks/gpu.py                     # ViT-B/16, BERT-base, batch 64; minutes on an H100
    python benchmarks/gpu.py --size tiny --batch 4 --images 64    # a test of this program, also without a GPU

    steps       milliseconds of a step (losses, gradients, fused AdamW) for each kind: fp32, bf16, and bf16 with
                compiled layers; the peak memory; the share of the matrix rate, which is that of a bf16 product of two
                large matrices; `busy`, the share of the time in which the GPU computes; and how often a step waits
                for the GPU
    DDP         the step in a process group of one process, next to the same step without
    loader      products per second of the training loader by its workers, with masks drawn, next to the steps
    agreement   the losses of one batch in fp32 on GPU and CPU; and the losses of a run of `--updates` updates of the
                main job, of the same run interrupted and resumed, and of the same run under torchrun

The batches and models are those of step_time.py, with random weights. The mean of the kinds is weighted by the authors'
ratios.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from data_loading import PHOTOGRAPHS, SIDE, VIEWS, draw_catalogue
from omegaconf import OmegaConf
from PIL import Image
from step_time import SIZES, STEPS, make_batch, make_fashionfae, weighted_mean
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fashionfae_lavis.datasets.datasets.products import ProductDataset
from fashionfae_lavis.datasets.loaders import training_loader
from fashionfae_lavis.masking.preparation import Preparation
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.hdf5_file import write_split
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors import FashionPhotographProcessor, FashionTextProcessor
from fashionfae_lavis.runners.data_order import EndlessBatches
from fashionfae_lavis.runners.optimizers import build_optimizer

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
ROOT = Path(__file__).parents[1]
FORMATS = {"fp32": (torch.float32, False), "bf16": (torch.bfloat16, False), "bf16 compiled": (torch.bfloat16, True)}


def synchronise() -> None:
    if CUDA:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], repeats: int, warm_up: int = 2) -> float:
    """Returns the median time of `work`, with the GPU's work."""
    times = []
    for _ in range(warm_up + repeats):
        synchronise()
        start = time.perf_counter()
        work()
        synchronise()
        times.append(time.perf_counter() - start)
    return statistics.median(times[warm_up:])


def matrix_rate() -> float:
    """Returns the FLOP/s of a bf16 product of two matrices."""
    side = 8192 if CUDA else 512
    one, other = (torch.randn(side, side, dtype=torch.bfloat16, device=DEVICE) for _ in range(2))
    return 2 * side**3 / seconds(lambda: one @ other, 20)


class Step:
    """One update of a model with random weights.

    Args:
        model: the model, which may be wrapped by DDP.
        samples: the batch on the device.
        dtype: format of the matrix products.
    """

    def __init__(self, model: nn.Module, samples: dict, dtype: torch.dtype):
        self.model, self.samples, self.dtype = model, samples, dtype
        self.optimizer = build_optimizer(model, OmegaConf.create({"init_lr": 1e-5, "weight_decay": 1e-4}))

    def losses(self, objectives: list[str]) -> dict[str, Tensor]:
        with torch.autocast(DEVICE.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.model({**self.samples, "objectives": objectives})

    def __call__(self, objectives: list[str]) -> None:
        self.losses(objectives)["loss"].backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def prepared(model: FashionFAE, batch: int, objectives: list[str]) -> dict:
    """Makes the batch that the loader gives for these objectives, on the device."""
    samples = make_batch(batch, model.image_size)
    masks = model.preparation(samples["text_input"], samples["fields"], objectives, 0)
    return {**samples, "image": samples["image"].to(DEVICE), "mask_seed": 0, "prepared": masks}


def busy_seconds(step: Callable[[], object]) -> float:
    """Returns the time of the GPU's kernels in one step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
        synchronise()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def waits(step: Callable[[], object]) -> int:
    """Counts how often the CPU waits for the GPU in one step."""
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step()
    torch.cuda.set_sync_debug_mode("default")
    places = [f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]
    print("    waits:", ", ".join(places), file=sys.stderr)
    return len(places)


def measure_steps(args: argparse.Namespace, rate: float) -> dict[str, dict[str, dict]]:
    """Measures all kinds in all formats: {format: {kind: {"seconds": ..., ...}}}."""
    found: dict[str, dict[str, dict]] = {}
    print(f"{'step':<26} {'ms':>8} {'memory, GB':>11} {'of the rate':>12} {'busy':>6} {'waits':>6}")
    for name, (dtype, compiled) in FORMATS.items():
        torch.manual_seed(0)
        model = make_fashionfae(args.size).to(DEVICE).train()
        if compiled and not CUDA:
            continue
        if compiled:
            adapt(model).compile()
        rows = found[name] = {}
        for kind, objectives in STEPS.items():
            step = Step(model, prepared(model, args.batch, objectives), dtype)
            if name == "fp32":
                with FlopCounterMode(display=False) as counter:
                    step(objectives)
                rows[kind] = {"flops": counter.get_total_flops()}
            else:
                rows[kind] = {"flops": found["fp32"][kind]["flops"]}
            if CUDA:
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            row = rows[kind] | {"seconds": seconds(lambda s=step, o=objectives: s(o), args.steps)}
            row["compile"] = time.perf_counter() - start - row["seconds"] * (args.steps + 1)
            row["memory"] = torch.cuda.max_memory_allocated() / 1e9 if CUDA else 0.0
            row["busy"] = busy_seconds(lambda s=step, o=objectives: s(o)) / row["seconds"] if CUDA else 1.0
            row["waits"] = waits(lambda s=step, o=objectives: s(o)) if CUDA else 0
            rows[kind] = row
            show(f"{kind}, {name}", row, rate)
            if compiled:
                print(f"    the first step took {row['compile']:.0f} s", file=sys.stderr)
        mean = weighted_mean(rows)
        show(f"mean, {name}", mean, rate)
        rows["mean"] = mean
        del model, step
    return found


def show(name: str, row: dict, rate: float) -> None:
    share = row["flops"] / row["seconds"] / rate
    rest = f" {row['busy']:>6.2f} {row['waits']:>6}" if "busy" in row else ""
    print(f"{name:<26} {1000 * row['seconds']:>8.1f} {row['memory']:>11.2f} {share:>12.2f}{rest}", flush=True)


def measure_ddp(args: argparse.Namespace) -> None:
    """Compares a step under DDP, as the runner uses it, with one without DDP, in turn."""
    torch.distributed.init_process_group(
        "nccl" if CUDA else "gloo", init_method="tcp://127.0.0.1:29533", rank=0, world_size=1
    )
    torch.manual_seed(0)
    bare = make_fashionfae(args.size).to(DEVICE).train()
    samples = prepared(bare, args.batch, ["itc"])
    searching = nn.parallel.DistributedDataParallel(bare, find_unused_parameters=True)
    steps = {"without DDP": Step(bare, samples, torch.bfloat16), "DDP": Step(searching, samples, torch.bfloat16)}
    times = {name: [] for name in steps}
    for _ in range(5):
        for name, step in steps.items():
            times[name].append(seconds(lambda s=step: s(["itc"]), 3, 1))
    base = statistics.median(times["without DDP"])
    for name, values in times.items():
        print(f"{name:<26} {1000 * statistics.median(values):>8.1f} ms, {statistics.median(values) / base:.3f}")
    torch.distributed.destroy_process_group()


def measure_loader(args: argparse.Namespace) -> None:
    """Prints products per second of decoding in one process, and of the training loader by its workers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fashiongen_256_256_train.h5"
        write_split(path, sample_products("train", args.images // VIEWS), SIDE, {})
        file = draw_catalogue(path, Path(folder))
        model = make_fashionfae(args.size)
        image = FashionPhotographProcessor(model.image_size, **PHOTOGRAPHS)
        file.enough = image.enough
        dataset = ProductDataset(file, image, FashionTextProcessor())
        data = [(file._folder / name).read_bytes() for name in file._images]
        decoding = len(data) / seconds(lambda: [Image.open(io.BytesIO(jpeg)).load() for jpeg in data], 3, 1)
        print(f"{'decoding, one process':<26} {decoding:>8.0f} images per second")
        prepare = partial(prepare_masks, model.preparation)
        for workers in (0, 1, 2, 4, 8):
            if workers < (os.cpu_count() or 1):
                batches = EndlessBatches(len(dataset), args.batch, 0)
                loader = iter(training_loader(dataset, batches, 0, workers, CUDA, prepare))
                next(loader)
                count = 4 * (workers + 1)
                rate = count * args.batch / seconds(lambda b=loader, n=count: [next(b) for _ in range(n)], 3, 1)
                share = rate / decoding / max(1, workers)
                print(f"{f'loader, {workers} workers':<26} {rate:>8.0f} images per second, {share:.2f} of decoding")
                del loader


def prepare_masks(preparation: Preparation, samples: dict, number: int) -> dict:
    drawn = preparation(samples["text_input"], samples["fields"], ["mlm", "aetp"], number)
    return {**samples, "prepared": drawn}


def measure_agreement(args: argparse.Namespace) -> None:
    """Prints the largest relative difference of the losses between GPU and CPU, in fp32 and without dropout."""
    torch.manual_seed(0)
    model = make_fashionfae(args.size).eval()
    for kind, objectives in STEPS.items():
        losses = []
        for device in ("cpu", DEVICE):
            samples = make_batch(4, model.image_size)
            samples["image"] = samples["image"].to(device)
            with torch.no_grad():
                output = model.to(device)({**samples, "mask_seed": 0, "objectives": objectives})
            losses.append({name: float(value) for name, value in output.items() if name.startswith("loss")})
        differences = [abs(losses[1][name] - value) / abs(value) for name, value in losses[0].items() if value]
        print(f"{kind + ', GPU against CPU':<36} {max(differences):.1e} of the loss")


def run_losses(folder: Path, updates: int, *options: str, torchrun: bool = False, last: int = 0) -> list[float]:
    """Trains the main job and returns its losses."""
    launch = [sys.executable, "-m"] + (["torch.distributed.run", "--nproc_per_node", "1", "-m"] if torchrun else [])
    command = [*launch, "lavis.train", "--cfg-path", "projects/fashionfae/pretrain.yaml", "--options"]
    command += [f"run.output_dir={folder}", f"run.max_iters={updates}", "run.log_freq=1", "run.test_splits=[]"]
    command += ["run.num_workers=4", f"run.iters_per_inner_epoch={last or updates}", *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True)
    if done.returncode:
        print(done.stderr.decode()[-3000:])
        raise SystemExit(1)
    (log,) = folder.glob("*/metrics.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    print(f"    {' '.join(options) or 'run'}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return [line["loss"] for line in lines if line["phase"] == "train"]


def measure_runs(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        half = args.updates // 2
        whole = run_losses(Path(name) / "whole", args.updates, last=half)
        again = run_losses(Path(name) / "again", args.updates, last=half)
        group = run_losses(Path(name) / "group", args.updates, torchrun=True, last=half)
        (folder,) = (Path(name) / "whole").iterdir()
        earlier = folder / "checkpoint_previous.pth"  # at half of the updates
        resumed = run_losses(Path(name) / "whole", args.updates, f"run.resume_ckpt_path={earlier}", last=half)
        for title, losses in {"the same run again": again, "under torchrun": group, "resumed": resumed}.items():
            difference = max(abs(a - b) / a for a, b in zip(whole, losses, strict=True))
            print(f"{title + ', ' + str(args.updates) + ' updates':<36} {difference:.1e} of the loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000, help="images of the loader's catalogue")
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    print(torch.cuda.get_device_name() if CUDA else "no GPU", "torch", torch.__version__)
    for part in args.parts:
        start = time.perf_counter()
        PARTS[part](args)
        print(f"    {part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def steps_and_rate(args: argparse.Namespace) -> None:
    rate = matrix_rate()
    print(f"matrix rate {rate / 1e12:.0f} TFLOP/s")
    measure_steps(args, rate)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "steps": steps_and_rate,
    "DDP": measure_ddp,
    "loader": measure_loader,
    "agreement": measure_agreement,
    "runs": measure_runs,
}

if __name__ == "__main__":
    main()
