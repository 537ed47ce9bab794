"""What `python -m lavis.evaluate` runs: the tests of a configuration, without training."""

from fashionfae_lavis.train import main as run


def main() -> None:
    """Command line of `lavis.evaluate`."""
    run(evaluate=True)


if __name__ == "__main__":
    main()
