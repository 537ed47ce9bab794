"""Time and memory of the full test's figures, ours beside LAVIS's, on generated embeddings.

    python benchmarks/retrieval_metrics.py              # minutes; LAVIS's largest size needs 10 GB

Ours: `fashionfae_lavis.metrics.retrieval.full_test`, from embeddings. LAVIS's: `RetrievalTask._report_metrics`, which
takes score matrices of both directions; making them is part of its time. Each measurement is a process of its own:
seconds by the clock, seconds of CPU (which other programs on the machine disturb less), and by how much the process's
peak memory grew over imports and embeddings. Both must find the same recalls, but for single queries whose scores
differ by no more than rounding: ours counts these as misses.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

FASHIONGEN = 32_528  # images of its validation set
SIZES = (4_096, 8_192, 16_384, FASHIONGEN)
WIDTH = 768
GROUP = 1024


def generate(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit-length images and texts (size, WIDTH); row i of both belongs together, found in the first ranks or not."""
    rng = np.random.default_rng(0)
    images, texts = (np.empty((size, WIDTH), np.float32) for _ in range(2))
    for start in range(0, size, GROUP):
        part = slice(start, start + GROUP)
        images[part] = rng.standard_normal(images[part].shape, np.float32)
        texts[part] = images[part] + 6 * rng.standard_normal(texts[part].shape, np.float32)
    for embeds in (images, texts):
        embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
    return images, texts


def ours(images: np.ndarray, texts: np.ndarray) -> list[float]:
    from fashionfae_lavis.metrics.retrieval import full_test

    products = np.arange(len(images))
    result = full_test(images, texts, products, products)
    return [result[f"{way}_r{top}"] for way in ("i2t", "t2i") for top in (1, 5, 10)]


def lavis(images: np.ndarray, texts: np.ndarray) -> list[float]:
    from lavis.common.registry import registry
    from lavis.tasks.retrieval import RetrievalTask

    scores = images @ texts.T
    image_of_text = dict(enumerate(range(len(texts))))
    text_of_image = {image: [image] for image in range(len(images))}
    with tempfile.TemporaryDirectory() as folder:  # where it writes its results
        registry.mapping["paths"]["output_dir"] = folder
        result = RetrievalTask._report_metrics(scores, np.ascontiguousarray(scores.T), image_of_text, text_of_image)
    return [result[f"{way}_r{top}"] for way in ("txt", "img") for top in (1, 5, 10)]


WAYS = {"ours": ours, "lavis": lavis}


def measure(way: str, size: int) -> dict:
    """Runs in a process of its own: {"seconds", "cpu_seconds", "memory" in GB, "recalls"}."""
    WAYS[way](*generate(2))  # imports
    embeds = generate(size)
    before, clock, cpu = peak_memory(), time.perf_counter(), time.process_time()
    recalls = WAYS[way](*embeds)
    seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "memory": peak_memory() - before, "recalls": recalls}


def peak_memory() -> float:
    """The most memory this process has had so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def in_a_process(way: str, size: int) -> dict:
    command = [sys.executable, "-W", "ignore", __file__, "--way", way, "--size", str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def available_memory() -> float:
    """Bytes that a new process can have."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.size)))
        return
    print(f"{'':>6} {'images x texts':>16} {'seconds':>8} {'of CPU':>8} {'memory, GB':>11}   recalls, %")
    measured = {}
    for size in SIZES:
        needed = 2.2 * 4 * size**2  # two score matrices, and room
        for way in ("ours", "lavis"):
            if way == "lavis" and needed > available_memory():
                print(f"{way:>6} {size:>8} x {size:<6} needs {needed / 1e9:.0f} GB: left out")
                continue
            result = measured[way, size] = in_a_process(way, size)
            recalls = " / ".join(f"{recall:.2f}" for recall in result["recalls"])
            print(
                f"{way:>6} {size:>8} x {size:<6} {result['seconds']:>7.1f} {result['cpu_seconds']:>8.1f} "
                f"{result['memory']:>11.2f}   {recalls}",
                flush=True,
            )
    for size in SIZES:
        if ("lavis", size) in measured:
            mine, theirs = measured["ours", size], measured["lavis", size]
            assert np.allclose(mine["recalls"], theirs["recalls"], rtol=0, atol=0.02), "the recalls differ"
            print(
                f"At {size} LAVIS's takes {theirs['seconds'] / mine['seconds']:.1f} times as long "
                f"({theirs['cpu_seconds'] / mine['cpu_seconds']:.1f} by CPU) and "
                f"{theirs['memory'] / mine['memory']:.0f} times the memory."
            )


if __name__ == "__main__":
    main()
