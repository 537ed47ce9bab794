"""Measures the server of `fashionfae serve`: many clients at once, and the time of a page over many products.

    python benchmarks/serve.py [--seconds 60] [--clients 50] [--products 100000] [--model fashionfae]

Draws `--products` random vectors with attributes, one in 20 with a picture, indexes them, and starts the server with
the model in a process of its own. First one client alone asks for pages, without the pictures in them. Then `--clients`
clients ask for pages and searches as fast as they are answered. The queue has 64 places, so 50 clients get no 503.
"""

import argparse
import asyncio
import itertools
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.index import create_index
from fashionfae_lavis.search.vectors import Vectors

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "navy", "purple", "pink", "brown")
FABRICS = ("cotton", "linen", "silk", "wool", "leather", "denim")
KINDS = ("dress", "shirt", "coat", "skirt", "trousers")
PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"


def index_products(folder: Path, model: str, count: int) -> None:
    """Indexes random vectors with attributes."""
    encoder = Encoder.open(model, "cpu")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, encoder.dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image = folder / "product.jpg"
    Image.fromarray(rng.integers(0, 255, (224, 168, 3), np.uint8)).save(image)
    columns = {name: rng.choice(known, count).tolist() for name, known in _attributes().items()}
    columns["title"] = [" ".join(words) for words in zip(*columns.values(), strict=True)]
    columns["price"] = rng.uniform(10, 300, count).round(2)
    ids = [f"{number:07d}" for number in range(count)]
    create_index(
        str(folder / "index"), Vectors.of(ids, [str(image)] * count, vectors, columns, encoder.name, encoder.digest)
    )


def _attributes() -> dict[str, tuple[str, ...]]:
    return {"colour": COLOURS, "fabric": FABRICS, "kind": KINDS}


def start(folder: Path, model: str) -> subprocess.Popen:
    """Starts the server and waits until it answers."""
    command = [sys.executable, "-W", "ignore", "-m", "fashionfae_lavis.cli", "serve", str(folder / "index")]
    server = subprocess.Popen([*command, "--model", model, "--port", str(PORT)], stdout=subprocess.DEVNULL)
    while True:
        try:
            httpx.get(f"{ADDRESS}/health").raise_for_status()
            return server
        except httpx.HTTPError:
            assert server.poll() is None, "the server ended"
            time.sleep(0.2)


def requests(seed: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the requests of one client: a page, the same search for a program, and one with a filter."""
    rng = random.Random(seed)
    while True:
        text = f"{rng.choice(COLOURS)} {rng.choice(FABRICS)} {rng.choice(KINDS)}"
        yield "/", {"q": text}
        yield "/search", {"text": text, "count": "24"}
        yield "/", {"q": text, "f": f"colour:{rng.choice(COLOURS)}"}


def pages_one_by_one(count: int) -> dict[str, list[float]]:
    """Returns the times in ms of pages that one client asks for."""
    times: dict[str, list[float]] = {"page": [], "page with a filter": []}
    with httpx.Client(base_url=ADDRESS, timeout=30) as client:
        for path, fields in itertools.islice((each for each in requests(0) if each[0] == "/"), 2 * count):
            begin = time.perf_counter()
            client.get(path, params=fields).raise_for_status()
            times["page with a filter" if "f" in fields else "page"].append(1000 * (time.perf_counter() - begin))
    return times


async def many_clients(count: int, seconds: float) -> tuple[Counter, list[float]]:
    """Returns how often each status came, and the times in ms."""
    statuses: Counter = Counter()
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def ask(client: httpx.AsyncClient, seed: int) -> None:
        for path, fields in requests(seed):
            begin = time.perf_counter()
            if begin > end:
                return
            try:
                statuses[(await client.get(path, params=fields)).status_code] += 1
            except httpx.HTTPError as error:
                statuses[type(error).__name__] += 1
            times.append(1000 * (time.perf_counter() - begin))

    async with httpx.AsyncClient(base_url=ADDRESS, timeout=30, limits=httpx.Limits(max_connections=count)) as client:
        await asyncio.gather(*(ask(client, seed) for seed in range(count)))
    return statuses, times


def batches() -> float:
    """Returns the mean number of calls in a forward pass."""
    values = dict(line.rsplit(" ", 1) for line in httpx.get(f"{ADDRESS}/metrics").text.splitlines() if line[0] != "#")
    return float(values["fashionfae_batch_calls_sum"]) / float(values["fashionfae_batch_calls_count"])


def summary(times: list[float]) -> str:
    """Returns median and 99th percentile."""
    return f"median {np.median(times):5.0f} ms, 99th percentile {np.percentile(times, 99):5.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="time of the many clients (default 60)")
    parser.add_argument("--clients", type=int, default=50, help="clients at once (default 50)")
    parser.add_argument("--products", type=int, default=100_000, help="products of the index (default 100000)")
    parser.add_argument("--model", default="fashionfae", help="the model (default the packaged weights)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        index_products(Path(folder), args.model, args.products)
        print(f"index of {args.products} products: {time.perf_counter() - begin:.0f} s", flush=True)
        server = start(Path(folder), args.model)
        try:
            for what, times in pages_one_by_one(100).items():
                print(f"{what:<20} {summary(times)}", flush=True)
            statuses, times = asyncio.run(many_clients(args.clients, args.seconds))
            print(
                f"{args.clients} clients for {args.seconds:.0f} s: {len(times) / args.seconds:.0f} answers per second"
            )
            print(f"{'':<20} {summary(times)}")
            print(f"{'':<20} statuses {dict(statuses)}, {batches():.1f} calls in a forward pass")
        finally:
            server.send_signal(signal.SIGTERM)
            print(f"exit status after SIGTERM: {server.wait(30)}")


if __name__ == "__main__":
    main()
