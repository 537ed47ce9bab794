"""`fashionfae make-mini-encoders`: trains the encoders that FashionFAE-mini starts from."""


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Train the two encoders that FashionFAE-mini starts from, on drawn products or further on photographs."
    parser = commands.add_parser("make-mini-encoders", help=text, description=text)
    parser.add_argument("path", metavar="FILE", help="file to write, .safetensors")
    parser.add_argument(
        "--photographs",
        metavar="DIR",
        help="train the shipped image encoder further on the class folders in DIR/train, and test on DIR/test",
    )
    parser.set_defaults(run=run)


def run(path: str, photographs: str | None) -> None:
    """Trains the encoders, writes them and prints their accuracies on held-out products or photographs."""
    from pathlib import Path

    from fashionfae_lavis.mini.encoders import add_photographs, make_mini_encoders

    if photographs is not None:
        print(f"{100 * add_photographs(Path(path), Path(photographs)):.1f} % correct on test photographs")
        return
    for name, accuracy in make_mini_encoders(Path(path)).items():
        print(f"{name:<14}{100 * accuracy:5.1f} % correct on held-out products")
