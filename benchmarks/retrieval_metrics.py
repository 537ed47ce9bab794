"""Compares the time and memory of the full test with LAVIS's implementation, on generated embeddings.

    python benchmarks/retrieval_metrics.py              # minutes; LAVIS's largest size needs 10 GB

This package computes recalls in `fashionfae_lavis.metrics.retrieval.full_test` from embeddings. LAVIS computes them in
`RetrievalTask._report_metrics` from the score matrices of both directions, whose computation is included. Each
measurement runs in a separate process and reports wall-clock seconds, CPU seconds (less affected by other programs) and
the growth of peak memory over imports and embeddings. Both must find the same recalls, except for a few queries whose
scores are equal up to rounding, which this package counts as misses.
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
    """Draws unit-length image and text embeddings (size, WIDTH); row i of both is a noisy pair."""
    rng = np.random.default_rng(0)
    images, texts = (np.empty((size, WIDTH), np.float32) for _ in range(2))
    for start in range(0, size, GROUP):
        part = slice(start, start + GROUP)
        images[part] = rng.standard_normal(images[part].shape, np.float32)
        texts[part] = images[part] + 6 * rng.standard_normal(texts[part].shape, np.float32)
    for embeds in (images, texts):
        embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
    return images, texts


def fashionfae(images: np.ndarray, texts: np.ndarray) -> list[float]:
    from fashionfae_lavis.metrics.retrieval import full_test

    products = np.arange(len(images))
    result = full_test(images, texts, products, products)
    return [result[f"{direction}_r{top}"] for direction in ("i2t", "t2i") for top in (1, 5, 10)]


def lavis(images: np.ndarray, texts: np.ndarray) -> list[float]:
    from lavis.common.registry import registry
    from lavis.tasks.retrieval import RetrievalTask

    scores = images @ texts.T
    image_of_text = dict(enumerate(range(len(texts))))
    text_of_image = {image: [image] for image in range(len(images))}
    with tempfile.TemporaryDirectory() as folder:  # LAVIS writes its results there
        registry.mapping["paths"]["output_dir"] = folder
        result = RetrievalTask._report_metrics(scores, np.ascontiguousarray(scores.T), image_of_text, text_of_image)
    return [result[f"{direction}_r{top}"] for direction in ("txt", "img") for top in (1, 5, 10)]


SYSTEMS = {"fashionfae": fashionfae, "lavis": lavis}


def measure(system: str, size: int) -> dict:
    """Measures one system in this process: {"seconds", "cpu_seconds", "memory" in GB, "recalls"}."""
    SYSTEMS[system](*generate(2))  # imports
    embeds = generate(size)
    before, clock, cpu = peak_memory(), time.perf_counter(), time.process_time()
    recalls = SYSTEMS[system](*embeds)
    seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "memory": peak_memory() - before, "recalls": recalls}


def peak_memory() -> float:
    """Returns the peak memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure_in_process(system: str, size: int) -> dict:
    """Runs `measure` in a new process."""
    command = [sys.executable, "-W", "ignore", __file__, "--system", system, "--size", str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def available_memory() -> float:
    """Returns the bytes available to a new process."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.system:
        print(json.dumps(measure(args.system, args.size)))
        return
    print(f"{'':>10} {'images x texts':>16} {'seconds':>8} {'of CPU':>8} {'memory, GB':>11}   recalls, %")
    measured = {}
    for size in SIZES:
        needed = 2.2 * 4 * size**2  # two score matrices and a margin
        for system in SYSTEMS:
            if system == "lavis" and needed > available_memory():
                print(f"{system:>10} {size:>8} x {size:<6} skipped: needs {needed / 1e9:.0f} GB")
                continue
            result = measured[system, size] = measure_in_process(system, size)
            recalls = " / ".join(f"{recall:.2f}" for recall in result["recalls"])
            print(
                f"{system:>10} {size:>8} x {size:<6} {result['seconds']:>7.1f} {result['cpu_seconds']:>8.1f} "
                f"{result['memory']:>11.2f}   {recalls}",
                flush=True,
            )
    for size in SIZES:
        if ("lavis", size) in measured:
            own, other = measured["fashionfae", size], measured["lavis", size]
            assert np.allclose(own["recalls"], other["recalls"], rtol=0, atol=0.02), "the recalls differ"
            print(
                f"At {size} pairs LAVIS takes {other['seconds'] / own['seconds']:.1f} times as long "
                f"({other['cpu_seconds'] / own['cpu_seconds']:.1f} times the CPU time) and "
                f"{other['memory'] / own['memory']:.0f} times the memory."
            )


if __name__ == "__main__":
    main()
