"""`fashionfae make-mini-encoders`: trains the encoders that FashionFAE-mini starts from."""


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Train the two encoders that pre-training of FashionFAE-mini starts from, on drawn products."
    parser = commands.add_parser("make-mini-encoders", help=text, description=text)
    parser.add_argument("path", metavar="FILE", help="file to write, .safetensors")
    parser.set_defaults(run=run)


def run(path: str) -> None:
    """Trains the encoders, writes them and prints their accuracies on held-out products."""
    from pathlib import Path

    from fashionfae_lavis.mini.encoders import make_mini_encoders

    for name, accuracy in make_mini_encoders(Path(path)).items():
        print(f"{name:<14}{100 * accuracy:5.1f} % correct on held-out products")
