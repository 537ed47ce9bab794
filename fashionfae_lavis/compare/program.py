"""The train or evaluate program of LAVIS, run while holding the program lock of a comparison's folder.

    python -m fashionfae_lavis.compare.program FOLDER train|evaluate --cfg-path ...

The program holds the lock, so the folder stays locked while it runs, even if the comparison was killed.
"""

import sys
from pathlib import Path

from fashionfae_lavis.compare.locks import PROGRAM, hold
from fashionfae_lavis.errors import UserError


def main(argv: list[str]) -> None:
    """Runs the program.

    Args:
        argv: the folder, `train` or `evaluate`, and the arguments of that program.
    """
    folder, program, *arguments = argv
    with hold(Path(folder), PROGRAM):
        from fashionfae_lavis import train

        train.main(arguments, evaluate=program == "evaluate")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
