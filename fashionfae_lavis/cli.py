"""The command `fashionfae`: one subcommand, one function, which imports what it needs only when it is called."""

import argparse
import signal
import sys
import warnings
from itertools import groupby

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import command as prepare


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand; user errors end as one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="fashionfae", description="Tools around FashionFAE in LAVIS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_import(commands)
    _add_export(commands)
    prepare.add_parser(commands)
    _add_compare(commands)
    args = vars(parser.parse_args(argv))
    # What the old versions that LAVIS pins say about themselves.
    warnings.simplefilter("ignore", FutureWarning)
    try:
        args.pop("run")(**args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _add_import(commands) -> None:
    text = "Convert a checkpoint of the authors' code (FashionFAE, FashionViL) into one of ours."
    parser = commands.add_parser("import-checkpoint", help=text, description=text)
    parser.add_argument("source", metavar="IN", help="checkpoint of MMF, or FashionViL's VQ-VAE encoder")
    parser.add_argument("target", metavar="OUT", help="file to write, .safetensors or .pth")
    parser.add_argument("--config", help="base, mini, or a yaml file whose `model` section gives the sizes")
    parser.add_argument("--vocabulary", help="hub id or local folder of the word pieces (default bert-base-uncased)")
    parser.add_argument("--encoders-only", action="store_true", help="leave out all heads: a model for retrieval")
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help="open a file that holds Python objects, which can run any code: only where you trust who made it",
    )
    parser.set_defaults(run=import_checkpoint)


def _add_export(commands) -> None:
    text = "Convert a checkpoint of ours into the authors' layout."
    parser = commands.add_parser("export-checkpoint", help=text, description=text)
    parser.add_argument("source", metavar="IN", help="checkpoint of ours, .safetensors or .pth")
    parser.add_argument("target", metavar="OUT", help="file to write, .pth")
    parser.set_defaults(run=export_checkpoint)


def _add_compare(commands) -> None:
    text = "Train and evaluate the systems of a plan, or take finished runs, and write one table and one figure."
    parser = commands.add_parser("compare", help=text, description=text)
    parser.add_argument("runs", metavar="RUN", nargs="*", help="output folders of finished runs")
    parser.add_argument("--cfg-path", help="plan, such as projects/compare/ablation.yaml; what is done already stays")
    parser.add_argument("--output", help="folder of tables, figure and, of a plan, its runs")
    parser.add_argument("--seeds", nargs="+", type=int, help="in place of the plan's")
    parser.set_defaults(run=compare)


def import_checkpoint(source: str, target: str, **options) -> None:
    """`fashionfae import-checkpoint`: convert, and say what was found."""
    from fashionfae_lavis.models import conversion

    done = conversion.import_checkpoint(source, target, **options)
    print(f"{source}: the authors' {done.kind} model, {len(done.used) + len(done.left_out)} keys")
    print(f"  used: {len(done.used)}")
    _print_reasons("left out", done.left_out)
    if done.kind == "image_tokenizer":
        print(f"{target}: written; name it in model.image_tokenizer.weights")
    else:
        print(f'{target}: written; load_model("{done.arch}", "{target}") opens it')


def export_checkpoint(source: str, target: str) -> None:
    """`fashionfae export-checkpoint`: convert, and say what was found."""
    from fashionfae_lavis.models import conversion

    done = conversion.export_checkpoint(source, target)
    print(f"{source}: our model {done.arch}, {len(done.used) + len(done.left_out)} tensors")
    print(f"  used: {len(done.used)}")
    _print_reasons("left out", done.left_out)
    print(f"{target}: written in the layout of the authors' {done.kind} model")
    _print_reasons("filled in", done.filled)


def compare(runs: list[str], cfg_path: str | None, output: str | None, seeds: list[int] | None) -> None:
    """`fashionfae compare`: compare, print the tables, and say where they are."""
    if bool(runs) == bool(cfg_path) or (runs and seeds):
        raise UserError(
            "compare takes either --cfg-path PLAN, with --seeds if wanted, or the output folders of finished runs."
        )
    from fashionfae_lavis.compare import report

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by an exception, which ends the job too
    written = report.compare_plan(cfg_path, seeds, output) if cfg_path else report.compare_runs(runs, output)
    print(f"\n{written[0].read_text(encoding='utf-8')}")
    print("".join(f"{path}\n" for path in written), end="")


def _print_reasons(what: str, reasons: dict[str, str]) -> None:
    for reason, names in groupby(sorted(reasons, key=reasons.get), key=reasons.get):
        names = list(names)
        print(f"  {what} ({reason}): {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}")


if __name__ == "__main__":
    main()
