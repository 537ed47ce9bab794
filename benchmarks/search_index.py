"""Measures building and querying an index of generated vectors, against exact search with numpy in the same run.

    python benchmarks/search_index.py [--rows 100000] [--queries 200] [--location FOLDER_OR_URL] [--dim 128]

The vectors are clustered, as products are: 1,000 kinds of very different sizes, and around each a normal distribution.
Queries are drawn around the same kinds. Numpy multiplies the matrix with each query and selects the best ten.
Memory is what the resident set of this process grows by: the server's own memory is not in it.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.search.index import create_index
from fashionfae_lavis.search.vectors import Vectors
from fashionfae_lavis.search.where import Where

KINDS = 1000
SPREAD = 0.6  # standard deviation around a kind, whose length is 1
COLOURS = ("blue", "red", "green", "black", "white", "beige", "pink", "grey", "navy", "olive")


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Shop:
    """Generated vectors of products and queries."""

    def __init__(self, dim: int):
        self.generator = np.random.default_rng(0)
        self.centres = unit(self.generator.standard_normal((KINDS, dim), np.float32))
        shares = 1 / np.arange(1, KINDS + 1)
        self.shares = shares / shares.sum()

    def draw(self, count: int) -> NDArray[np.float32]:
        kinds = self.generator.choice(KINDS, count, p=self.shares)
        rows = self.generator.standard_normal((count, self.centres.shape[1]), np.float32)
        rows *= SPREAD / np.sqrt(rows.shape[1])
        rows += self.centres[kinds]
        return unit(rows)


def milliseconds(work, queries) -> tuple[list, NDArray[np.float64]]:
    """Returns the results of `work` for each query, and its times."""
    results, times = [], []
    for query in queries:
        start = time.perf_counter()
        results.append(work(query))
        times.append(1000 * (time.perf_counter() - start))
    return results, np.array(times)


def memory() -> float:
    """Returns the resident set of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--location", help="folder or URL of an index to create (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(args.location or os.path.join(folder, "index"), args.rows, args.queries, args.dim)


def measure(location: str, rows: int, count: int, dim: int) -> None:
    """Builds and queries an index, and prints what it took."""
    shop = Shop(dim)
    matrix, queries = shop.draw(rows), shop.draw(count)
    colours = np.array(COLOURS)[shop.generator.integers(len(COLOURS), size=rows)]
    ids = np.array([f"{number:09}" for number in range(rows)])

    def exact(query: NDArray[np.float32], keep: NDArray[np.bool_] | None = None) -> set[str]:
        scores = matrix @ query
        if keep is not None:
            scores[~keep] = -2
        return set(ids[np.argpartition(-scores, 10)[:10]])

    truth, numpy_times = milliseconds(exact, queries)
    vectors = Vectors.of(ids.tolist(), [""] * rows, matrix, {"colour": colours}, "generated", "0" * 16)
    start, before = time.perf_counter(), memory()
    index = create_index(location, vectors, replace=True)
    print(f"{rows:,} vectors of {dim} numbers, kept by {index.info.engine}")
    print(f"built in {time.perf_counter() - start:.1f} s, {memory() - before:.0f} MB more memory")
    blue = Where.parse("colour = 'blue'", index.info.columns)
    index.nearest(queries[0], 10)
    before = memory()
    report("numpy", numpy_times, numpy_times)
    found, times = milliseconds(lambda query: {hit.id for hit in index.nearest(query, 10)}, queries)
    report("index", times, numpy_times, truth, found)
    filtered = [exact(query, colours == "blue") for query in queries]
    found, times = milliseconds(lambda query: {hit.id for hit in index.nearest(query, 10, blue)}, queries)
    report("index, a filter that keeps 10 %", times, numpy_times, filtered, found)
    print(f"{memory() - before:.0f} MB more memory while querying; the vectors are {matrix.nbytes / 2**20:.0f} MB")


def report(name: str, times, numpy_times, truth=None, found=None) -> None:
    """Prints one line of the table."""
    ratio = np.median(times) / np.median(numpy_times)
    line = (
        f"{name:<32} median {np.median(times):7.2f} ms  99 % {np.percentile(times, 99):7.2f} ms  {ratio:6.2f} x numpy"
    )
    if truth is not None:
        recall = np.mean([len(right & got) / 10 for right, got in zip(truth, found, strict=True)])
        line += f"  recall at 10 {recall:.3f}"
    print(line, flush=True)


if __name__ == "__main__":
    main()
