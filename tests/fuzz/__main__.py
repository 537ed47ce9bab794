"""`python -m fuzz`: runs many cases, prints a table and how to reproduce each failure. Exit status 1 if any failed."""

import argparse
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path

KINDS = ("configurations", "tables", "images", "hdf5", "json_files", "checkpoints", "shards")
# Before the libraries that read them are imported.
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    MPLBACKEND="Agg",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    TQDM_DISABLE="1",
)
sys.dont_write_bytecode = True
warnings.simplefilter("ignore")

import matplotlib.font_manager  # noqa: E402, F401 (starts a program at its first import)

from .harness import MEGABYTES, SECONDS, Outcome, run_cases  # noqa: E402 (after the environment)


def main() -> int:
    """Runs the program and returns its exit status."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=230, help="cases of each kind (default: 230, 1,610 in all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--number", type=int, help="run only this case of each kind, and keep its folder")
    parser.add_argument("--jobs", type=int, default=2, help="cases at once (default: 2)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of a case")
    parser.add_argument("--megabytes", type=float, default=MEGABYTES, help="limit of the memory that a case adds")
    parser.add_argument("--output", type=Path, default=Path("output/fuzz"), help="folder of the failing inputs")
    args = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    start = time.monotonic()
    kinds = {kind: import_module(f"{__package__}.{kind}") for kind in args.kinds}
    numbers = range(args.cases) if args.number is None else [args.number]
    cases = [(kind, args.seed, number) for kind in args.kinds for number in numbers]
    outcomes: list[Outcome] = []
    runs = run_cases(kinds, cases, args.output, args.jobs, args.seconds, args.megabytes)
    try:
        for outcome in runs:
            outcomes.append(outcome)
            if args.number is not None:
                print(outcome)
            if outcome.faults:
                print(f"{outcome.kind} {outcome.number}: {outcome.name[:100]}: {outcome.faults}"[:600], flush=True)
    except KeyboardInterrupt:
        runs.close()
        print(f"\nInterrupted after {len(outcomes)} of {len(cases)} cases.")
    if not outcomes:
        return 1
    times, slowest = os.times(), max(outcomes, key=lambda outcome: outcome.seconds)
    cpu = times.user + times.system + times.children_user + times.children_system
    print(f"\n{table(outcomes)}\n\n{time.monotonic() - start:.0f} s ({cpu:.0f} s of CPU), seed {args.seed}")
    print(f"slowest: {slowest.kind} {slowest.number}, {slowest.seconds:.0f} s, {slowest.name[:100]}")
    failures = [outcome for outcome in outcomes if outcome.faults]
    if failures:
        print(f"\n{describe(failures, args.output)}")
    return 1 if failures or len(outcomes) < len(cases) else 0


def table(outcomes: list[Outcome]) -> str:
    """Returns a Markdown table with a row for each kind."""
    columns = ("accepted", "refused", "trace", "wrong", "hang", "memory", "program", "outside")
    titles = ("accepted", "refused", "stack traces", "wrong results", "hangs", "memory", "programs", "files outside")
    counts: dict[str, Counter] = defaultdict(Counter)
    for outcome in outcomes:
        for row in (outcome.kind.replace("_", " "), "all"):
            counts[row].update(["inputs", *([outcome.verdict] if not outcome.faults else outcome.faults)])
    lines = [f"| kind | inputs | {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(columns) + 1)]
    for row in [*(row for row in counts if row != "all"), "all"]:
        cells = [f"{counts[row][column]:,}" for column in ("inputs", *columns)]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def describe(failures: list[Outcome], folder: Path) -> str:
    """Groups failures by their place, and says how to reproduce one of each."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for failure in failures:
        groups[failure.kind, failure.where or ", ".join(failure.faults)].append(failure)
    lines = [f"{len(failures)} failures, {len(groups)} different:"]
    for (kind, where), group in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]))):
        first = group[0]
        lines += [
            f"\n{kind}: {where} ({len(group)} cases: {', '.join(str(one.number) for one in group[:8])})",
            *(f"  {fault}: {detail[:300]}" for fault, detail in first.faults.items()),
            f"  input: {first.name[:200]}",
            f"  again: PYTHONPATH=tests python -m fuzz --kinds {kind} --seed {first.seed} --number {first.number}",
            f"  files: {folder / f'{kind}-{first.seed}-{first.number}'}",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
