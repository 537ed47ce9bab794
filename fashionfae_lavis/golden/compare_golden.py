"""Comparison of the models with numbers of the authors' implementation.

    fashionfae compare-golden golden_seed0.npz

The file holds inputs (`in.*`) and outputs. Weights and images are generated from its seed, so nothing else is needed.
The command prints one line per entry: name, largest difference, tolerance, ok or FAIL. It takes about two minutes and
5 GB on two cores.
"""

import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.errors import UserError

Arrays = dict[str, NDArray]


def read_golden(path: str | Path) -> Arrays:
    """Reads the arrays of a golden file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not an npz file of golden numbers.") from error


def seed_of(golden: Arrays, path: str | Path) -> int:
    """Returns the seed in the arrays `seed` or `in.seed`, else in the file's name (`golden_seed7.npz`), else 0."""
    for name in ("seed", "in.seed"):
        if name in golden:
            return int(golden[name].ravel()[0])
    found = re.search(r"seed(\d+)", Path(path).name)
    return int(found[1]) if found else 0


def is_trajectory(golden: Arrays) -> bool:
    """Returns whether a golden file holds a training trajectory (see trajectory.py) instead of a single step."""
    return {"kinds", "losses", "names", "lr", "weight_decay", "change"} <= golden.keys()


def report(golden: Arrays, seed: int, manifest_path: str | None = None) -> int:
    """Computes, compares and prints every entry.

    Args:
        golden: arrays of a golden file.
        seed: seed of weights and images.
        manifest_path: see `read_manifest`; None for the manifest in the package.

    Returns:
        The number of entries that do not agree.

    Raises:
        UserError: an input is missing, or the manifest cannot be read.
    """
    # Imported late, because LAVIS takes seconds to import.
    from fashionfae_lavis.golden.golden_comparison import INPUTS, METRIC_INPUTS, compare, compare_metrics, metric_sets

    computed = compute(golden, seed, manifest_path)
    rows = compare(golden, computed)
    skipped: dict[str, str] = {}
    inputs = {name for name in golden if name in INPUTS or name == "in.seed"}
    for prefix in metric_sets(golden):
        metric_rows, reasons = compare_metrics(golden, prefix)
        rows += metric_rows
        skipped |= reasons
        inputs |= {f"{prefix}.{name}" for name in (*METRIC_INPUTS, "kaleido_std")}
    for row in rows:
        print(row.line())
    for name in sorted(set(computed) - set(golden)):
        skipped[name] = "not in the file"
    for name, reason in skipped.items():
        print(f"{name:<32} skipped: {reason}")
    compared = {row.name for row in rows}
    unknown = [name for name in golden if name not in compared | inputs | set(skipped)]
    for name in unknown:
        print(f"{name:<32} not compared: unknown entry")
    failures = sum(not row.ok for row in rows)
    print(
        f"\nseed {seed}: {len(rows)} entries compared, {failures} FAIL; {len(skipped)} skipped, {len(unknown)} unknown"
    )
    return failures


def compute(golden: Arrays, seed: int, manifest_path: str | Path | None = None) -> Arrays:
    """Computes the entries with this package's models; returns none for a file that holds only retrieval metrics.

    Raises:
        UserError: the texts are missing, or the manifest cannot be read.
    """
    if not any(name.startswith("in.") for name in golden):
        return {}
    missing = [name for name in ("in.input_ids", "in.input_mask") if name not in golden]
    if missing:
        raise UserError(f"The golden file lacks the inputs {', '.join(missing)}.")
    from fashionfae_lavis.golden.golden_entries import GoldenModels, GoldenRun
    from fashionfae_lavis.golden.golden_weights import MANIFEST, read_manifest

    manifest = read_manifest(manifest_path or MANIFEST)
    return GoldenRun(golden, GoldenModels(manifest, seed), manifest, seed).run()
