"""`fashionfae reproduce`: runs the command behind a published figure and compares the result."""


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Run the command behind a figure in results.yml and compare the results. Without a name, list the names."
    parser = commands.add_parser(
        "reproduce", help=text, description=f"{text} Exit status 1 means that a number is out of tolerance."
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a figure in results.yml")
    parser.set_defaults(run=run)


def run(name: str | None) -> int:
    """Lists the figures, or reproduces one; returns 1 if a number is out of tolerance, else 0."""
    from fashionfae_lavis.figures.reproduce import list_figures, reproduce

    if name is None:
        print(list_figures())
        return 0
    return 0 if reproduce(name) else 1
