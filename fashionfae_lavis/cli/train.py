"""`fashionfae train`: trains and tests a model, as `python -m lavis.train` does."""

from fashionfae_lavis.config_options import add_config_options


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Train a model and test it. Same as `python -m lavis.train`."
    parser = commands.add_parser("train", help=text, description=text)
    add_config_options(parser)
    parser.set_defaults(run=run)


def run(cfg_path: str, options: list[str] | None, evaluate: bool = False) -> None:
    """Passes the arguments on to the program behind LAVIS's command line."""
    from fashionfae_lavis import train

    train.main(["--cfg-path", cfg_path, *(["--options", *options] if options else [])], evaluate=evaluate)
