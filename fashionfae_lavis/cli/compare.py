"""`fashionfae compare`: compares systems by one protocol, from a plan or from finished runs."""

import signal
import sys

from fashionfae_lavis.errors import UserError


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = (
        "Train and evaluate the systems of a plan, or read finished runs, and write the results as tables and a chart."
    )
    parser = commands.add_parser("compare", help=text, description=text)
    parser.add_argument("runs", metavar="RUN", nargs="*", help="output folders of finished runs")
    parser.add_argument(
        "--cfg-path", help="plan, such as projects/compare/ablation.yaml; finished jobs are not run again"
    )
    parser.add_argument("--output", help="folder for the tables, the chart and, with a plan, its runs")
    parser.add_argument("--seeds", nargs="+", type=int, help="seeds to use instead of the plan's")
    parser.add_argument("--catalogue", help="prepared catalogue to use instead of the plan's")
    parser.set_defaults(run=run)


def run(
    runs: list[str], cfg_path: str | None, output: str | None, seeds: list[int] | None, catalogue: str | None
) -> None:
    """Compares systems, then prints the tables and the paths of the files written.

    Raises:
        UserError: the arguments name both a plan and runs, or neither.
    """
    if bool(runs) == bool(cfg_path) or (runs and (seeds or catalogue)):
        raise UserError(
            "compare takes either --cfg-path PLAN, optionally with --seeds and --catalogue, or folders of finished "
            "runs."
        )
    from fashionfae_lavis.compare import report

    # Unlike the signal's default action, an exception also ends the program that the comparison runs.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        written = (
            report.compare_plan(cfg_path, seeds, output, catalogue) if cfg_path else report.compare_runs(runs, output)
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"\n{written[0].read_text(encoding='utf-8')}")
    print("".join(f"{path}\n" for path in written), end="")
