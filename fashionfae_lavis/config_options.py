"""The arguments shared by `python -m lavis.train`, `fashionfae train`, and the `evaluate` commands."""

import argparse


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--cfg-path` and `--options`, as in LAVIS."""
    parser.add_argument("--cfg-path", required=True, help="yaml file, such as projects/fashionfae/pretrain.yaml")
    parser.add_argument(
        "--options",
        nargs="+",
        metavar="KEY=VALUE",
        help="override keys of the file, such as run.max_iters=100",
    )
