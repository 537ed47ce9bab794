"""`fashionfae compare-golden`: compares the models with numbers that the authors' code computed."""

from pathlib import Path


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Compare the models with golden numbers of the authors' code, entry by entry."
    parser = commands.add_parser(
        "compare-golden",
        help=text,
        description=f"{text} The file holds inputs and outputs; weights and images are drawn from its seed. Prints the "
        "largest difference, the tolerance and ok or FAIL for each entry. A file of a training trajectory is replayed, "
        "and compared by update and by parameter group. Takes two to four minutes and up to 7 GB on two cores. Exit "
        "status 1 means that an entry failed.",
    )
    parser.add_argument("file", metavar="FILE", help="npz file of golden numbers, such as tests/data/golden_seed0.npz")
    parser.add_argument(
        "--inputs",
        metavar="FILE",
        help="for a trajectory: the golden file with its inputs (default: golden_seed<SEED>.npz in its folder)",
    )
    parser.add_argument("--manifest", help="json file of keys, shapes and rules (default: the one in the package)")
    parser.add_argument("--seed", type=int, help="seed of weights and images (default: the file's, else its name's)")
    parser.set_defaults(run=run)


def run(file: str, inputs: str | None, manifest: str | None, seed: int | None) -> int:
    """Compares and prints; returns 1 if an entry fails, else 0."""
    from fashionfae_lavis.golden import compare_golden

    golden = compare_golden.read_golden(file)
    seed = compare_golden.seed_of(golden, file) if seed is None else seed
    if not compare_golden.is_trajectory(golden):
        return 1 if compare_golden.report(golden, seed, manifest) else 0
    from fashionfae_lavis.golden import trajectory

    path = inputs or Path(file).with_name(f"golden_seed{seed}.npz")
    return 1 if trajectory.report(golden, compare_golden.read_golden(path), seed, manifest) else 0
