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
    parser.add_argument(
        "--unlabelled",
        action="store_true",
        help="train both encoders without labels of attributes, also on the photographs in DIR/train, if given",
    )
    parser.set_defaults(run=run)


def run(path: str, photographs: str | None, unlabelled: bool) -> None:
    """Trains the encoders, writes them and prints their accuracies on held-out products or photographs."""
    from pathlib import Path

    from fashionfae_lavis.mini.encoders import add_photographs, make_mini_encoders, make_unlabelled_encoders

    folder = None if photographs is None else Path(photographs)
    if folder and not unlabelled:
        print(f"{100 * add_photographs(Path(path), folder):.1f} % correct on test photographs")
        return
    accuracies = make_unlabelled_encoders(Path(path), folder) if unlabelled else make_mini_encoders(Path(path))
    for name, accuracy in accuracies.items():
        print(f"{name:<14}{100 * accuracy:5.1f} % correct on held-out products")
