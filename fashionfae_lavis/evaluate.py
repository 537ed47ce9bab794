"""The program behind `python -m lavis.evaluate`: tests a configuration without training."""

from collections.abc import Sequence

from fashionfae_lavis.train import main as run


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line of `lavis.evaluate`; `argv` as in `train.main`."""
    run(argv, evaluate=True)


if __name__ == "__main__":
    main()
