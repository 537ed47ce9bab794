"""`fashionfae evaluate`: tests a model without training it, as `python -m lavis.evaluate` does."""

from fashionfae_lavis.cli.train import run
from fashionfae_lavis.config_options import add_config_options


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Test a model without training it. Same as `python -m lavis.evaluate`."
    parser = commands.add_parser("evaluate", help=text, description=text)
    add_config_options(parser)
    parser.set_defaults(run=run, evaluate=True)
