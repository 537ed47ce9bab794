"""Compare our models with numbers of the authors' implementation.

    python -m fashionfae_lavis.golden.compare_golden golden_seed0.npz

The file holds inputs (`in.*`) and outputs; weights and images are made from its seed, so it is all that is needed.
One line an entry: name, largest difference, tolerance, ok or FAIL. Takes about two minutes and 5 GB on two cores.
"""

import argparse
import re
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np

from fashionfae_lavis.errors import UserError


def main(argv: list[str] | None = None) -> None:
    """Exit status 0 if every entry agrees, 1 if one does not, 2 for a user's error."""
    parser = argparse.ArgumentParser(prog="python -m fashionfae_lavis.golden.compare_golden", description=__doc__)
    parser.add_argument("file", help="npz of golden numbers")
    parser.add_argument("--manifest", help="json with keys, shapes and rules (default: the one that ships)")
    parser.add_argument("--seed", type=int, help="of weights and images (default: the file's own, else its name's)")
    args = parser.parse_args(argv)
    # What the old versions that LAVIS pins say about themselves.
    warnings.simplefilter("ignore", FutureWarning)
    try:
        golden = read_golden(args.file)
        seed = args.seed if args.seed is not None else seed_of(golden, args.file)
        failures = report(golden, seed, args.manifest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if failures else 0)


def read_golden(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a golden file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not an npz file of golden numbers.") from error


def seed_of(golden: dict[str, np.ndarray], path: str | Path) -> int:
    """The seed that a file states in `seed` or `in.seed`, or in its name (`golden_seed7.npz`), else 0."""
    for name in ("seed", "in.seed"):
        if name in golden:
            return int(golden[name].ravel()[0])
    found = re.search(r"seed(\d+)", Path(path).name)
    return int(found[1]) if found else 0


def report(golden: dict[str, np.ndarray], seed: int, manifest_path: str | None = None) -> int:
    """Compute, compare and print; returns the number of entries that do not agree.

    Raises:
        UserError: an input is missing, or the manifest cannot be read.
    """
    # Late, as LAVIS takes seconds to import.
    from fashionfae_lavis.golden.golden_comparison import INPUTS, METRIC_INPUTS, compare, compare_metrics, metric_sets

    ours, skipped = compute(golden, seed, manifest_path), {}
    rows = compare(golden, ours)
    inputs = {name for name in golden if name in INPUTS or name == "in.seed"}
    for prefix in metric_sets(golden):
        metric_rows, reasons = compare_metrics(golden, prefix)
        rows += metric_rows
        skipped |= reasons
        inputs |= {f"{prefix}.{name}" for name in (*METRIC_INPUTS, "kaleido_std")}
    for row in rows:
        verdict = "ok" if row.ok else "FAIL"
        print(f"{row.name:<32} {row.difference:>10.3g}  tolerance {row.tolerance:<7.3g} {verdict}  {row.unit}".rstrip())
    for name in sorted(set(ours) - set(golden)):
        skipped[name] = "not in the file"
    for name, reason in skipped.items():
        print(f"{name:<32} skipped: {reason}")
    compared = {row.name for row in rows}
    unknown = [name for name in golden if name not in compared | inputs | set(skipped)]
    for name in unknown:
        print(f"{name:<32} nobody compares this entry")
    failures = sum(not row.ok for row in rows)
    print(
        f"\nseed {seed}: {len(rows)} entries compared, {failures} FAIL; {len(skipped)} skipped, {len(unknown)} unknown"
    )
    return failures


def compute(golden: dict[str, np.ndarray], seed: int, manifest_path: str | None = None) -> dict[str, np.ndarray]:
    """Our entries; none for a file with retrieval metrics alone, which needs no model.

    Raises:
        UserError: the texts are missing, or the manifest cannot be read.
    """
    if not any(name.startswith("in.") for name in golden):
        return {}
    missing = [name for name in ("in.input_ids", "in.input_mask") if name not in golden]
    if missing:
        raise UserError(f"The file lacks the inputs {', '.join(missing)}.")
    from fashionfae_lavis.golden.golden_entries import GoldenModels, GoldenRun
    from fashionfae_lavis.golden.golden_weights import MANIFEST, read_manifest

    manifest = read_manifest(manifest_path or MANIFEST)
    return GoldenRun(golden, GoldenModels(manifest, seed), manifest, seed).run()


if __name__ == "__main__":
    main()
