"""The command `fashionfae`. Each module of this package defines one subcommand.

A module has two functions: `add_parser(commands)` declares the arguments, and `run` receives them and does the work.
`run` imports its dependencies when it is called, because importing LAVIS would delay `fashionfae --help` by seconds.
It returns an exit status, or None for success.
"""

import argparse
import shlex
import sys
import warnings
from typing import NoReturn

from fashionfae_lavis.cli import (
    compare,
    compare_golden,
    embed,
    evaluate,
    export_checkpoint,
    export_onnx,
    export_weights,
    import_checkpoint,
    index,
    label,
    make_mini_encoders,
    publish,
    reproduce,
    search,
    serve,
    train,
)
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare import command as prepare
from fashionfae_lavis.suggestions import hint

SUBCOMMANDS = (
    train,
    evaluate,
    prepare,
    embed,
    index,
    search,
    label,
    serve,
    compare,
    import_checkpoint,
    export_checkpoint,
    export_weights,
    export_onnx,
    publish,
    make_mini_encoders,
    compare_golden,
    reproduce,
)


class OneLineParser(argparse.ArgumentParser):
    """Parser that reports an error in one line, without the usage text. Its subparsers do the same.

    Attributes:
        intermixed: whether positional arguments may also follow options. By default, argparse finds optional positional
            arguments only before the options.
    """

    intermixed = False

    def parse_known_args(self, args=None, namespace=None):
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False  # `parse_known_intermixed_args` calls this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def main(argv: list[str] | None = None) -> None:
    """Runs a subcommand.

    Args:
        argv: arguments after the program's name; None means the arguments of the process.

    Raises:
        SystemExit: with status 2 after a user error, which is printed as one sentence and, if options mend it, followed
            by the mended command, 130 after Ctrl-C, or with the
            nonzero status of a subcommand.
    """
    arguments = sys.argv[1:] if argv is None else argv
    parser = OneLineParser(prog="fashionfae", description="Train, evaluate and convert FashionFAE in LAVIS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subcommand in SUBCOMMANDS:
        subcommand.add_parser(commands)
    # Silence the warnings of LAVIS's pinned, old dependencies.
    warnings.simplefilter("ignore", FutureWarning)
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in commands.choices:
            raise UserError(f"There is no subcommand {arguments[0]!r}; {hint(arguments[0], commands.choices)}")
        options = vars(parser.parse_args(arguments))
        status = options.pop("run")(**options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.options:
            print(shlex.join(["fashionfae", *arguments, *error.options]), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nStopped by SIGINT: the same command starts again.", file=sys.stderr)
        sys.exit(130)
    if status:
        sys.exit(status)
