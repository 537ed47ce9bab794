"""`fashionfae compare-golden`: compares the models with numbers that the authors' code computed."""


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Compare the models with golden numbers of the authors' code, entry by entry."
    parser = commands.add_parser(
        "compare-golden",
        help=text,
        description=f"{text} The file holds inputs and outputs; weights and images are drawn from its seed. Prints the "
        "largest difference, the tolerance and ok or FAIL for each entry. Takes about two minutes and 5 GB on two "
        "cores. Exit status 1 means that an entry failed.",
    )
    parser.add_argument("file", metavar="FILE", help="npz file of golden numbers, such as tests/data/golden_seed0.npz")
    parser.add_argument("--manifest", help="json file of keys, shapes and rules (default: the one in the package)")
    parser.add_argument("--seed", type=int, help="seed of weights and images (default: the file's, else its name's)")
    parser.set_defaults(run=run)


def run(file: str, manifest: str | None, seed: int | None) -> int:
    """Compares and prints; returns 1 if an entry fails, else 0."""
    from fashionfae_lavis.golden.compare_golden import read_golden, report, seed_of

    golden = read_golden(file)
    failures = report(golden, seed_of(golden, file) if seed is None else seed, manifest)
    return 1 if failures else 0
